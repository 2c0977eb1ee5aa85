//! Which views a call has, by its options.

use super::files::FileView;
use super::gathered::{GatheredView, Mode};
use super::json::{JsonSink, JsonView};
use super::live::{LiveView, PrefixedView};
use super::view::View;
use crate::cli::options::Common;
use std::path::PathBuf;

/// All that is shown of a call.
pub(crate) type Views = Vec<Box<dyn View>>;

/// The views of jobs, whose output goes to `files` where those are named.
pub(crate) fn of_jobs(common: &Common, names: &[String], files: Option<Vec<PathBuf>>) -> Views {
    let mut views: Views = Vec::new();
    if common.json {
        views.push(Box::new(JsonView::of_jobs(names.to_vec(), JsonSink::Screen)));
    } else {
        let shown = shown(common, names);
        views.push(match files {
            Some(paths) => Box::new(FileView::new(paths, shown)),
            None => shown,
        });
    }
    if let Some(path) = &common.record {
        views.push(Box::new(JsonView::of_jobs(names.to_vec(), JsonSink::record(path))));
    }
    views
}

/// The views of verbs whose output is a list: objects already where `--json` was
/// said. An end follows them.
pub(crate) fn of_lists(common: &Common, names: &[String]) -> Views {
    let mut views: Views = vec![Box::new(LiveView::default())];
    if common.json {
        views.push(Box::new(JsonView::of_lists(names.to_vec(), JsonSink::Screen)));
    }
    if let Some(path) = &common.record {
        views.push(Box::new(JsonView::of_lists(names.to_vec(), JsonSink::record(path))));
    }
    views
}

fn shown(common: &Common, names: &[String]) -> Box<dyn View> {
    let live: Box<dyn View> = match names.len() {
        1 => Box::new(LiveView::default()),
        _ => Box::new(PrefixedView::new(names.to_vec())),
    };
    match (common.gather, common.quiet) {
        (true, _) => Box::new(GatheredView::new(names.to_vec(), Mode::Agreement, live)),
        (_, true) => Box::new(GatheredView::new(names.to_vec(), Mode::Failure, live)),
        _ => live,
    }
}
