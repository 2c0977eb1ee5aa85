//! What octo-core decides, against the pages that promise it.

mod trust;
