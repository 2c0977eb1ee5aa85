//! The keys of a line of the list of releases.

use crate::base::key::{Form, Key};

/// What is said about an application: where it is, what is current, what was tried last, where
/// a rollback would go, how fresh that is, and whether it is frozen.
pub const RELEASE: &[Key] = &[
    Key::new("application", Form::Text),
    Key::new("base", Form::Text),
    Key::new("user", Form::Text),
    Key::new("version", Form::Text),
    Key::new("release", Form::Text),
    Key::new("number", Form::Number),
    Key::new("sha256", Form::Digest),
    Key::new("content", Form::Digest),
    Key::new("signed", Form::Text),
    Key::new("since", Form::Time),
    Key::new("by", Form::Text),
    Key::new("result", Form::Text),
    Key::new("environment", Form::Text),
    Key::new("names", Form::List),
    Key::new("last-version", Form::Text),
    Key::new("last-result", Form::Text),
    Key::new("last-what", Form::Text),
    Key::new("last-at", Form::Time),
    Key::new("last-by", Form::Text),
    Key::new("back-release", Form::Text),
    Key::new("back-version", Form::Text),
    Key::new("back-sha256", Form::Digest),
    Key::new("back-environment", Form::Text),
    Key::new("back-names", Form::List),
    Key::new("verified", Form::Time),
    Key::new("changed", Form::Number),
    Key::new("as-of", Form::Time),
    Key::new("seen", Form::Text),
    Key::new("frozen-until", Form::Time),
    Key::new("frozen-by", Form::Text),
    Key::new("frozen-why", Form::Text),
];
