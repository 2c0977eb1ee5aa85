//! What octo-push says: to people, to programs, into files, to scripts that ask.

mod errors;
mod json;
mod plumb;
mod result_files;
