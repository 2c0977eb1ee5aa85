//! The ways to show what jobs print: as it comes (`live`), gathered at the end
//! (`gathered`), to files (`files`), as JSON (`json`).

pub(crate) mod buffer;
pub(crate) mod choice;
pub(crate) mod files;
pub(crate) mod gathered;
pub(crate) mod json;
pub(crate) mod lines;
pub(crate) mod live;
pub(crate) mod opened_file;
pub(crate) mod view;
