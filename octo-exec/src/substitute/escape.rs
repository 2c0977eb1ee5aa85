//! How a value is written into a file, by the kind of the file.

use super::around::Around;
use super::json::Json;
use super::xml::Xml;
use std::path::Path;

const OF_XML: [&str; 10] =
    ["xml", "xaml", "resx", "plist", "svg", "xhtml", "nuspec", "props", "targets", "config"];

/// The state of a file up to where it has been read.
#[derive(Debug)]
pub(super) enum Escape {
    /// Values stand in it as they are.
    Plain,
    Json(Json),
    Xml(Xml),
}

impl Escape {
    /// For the file of this name that holds this.
    pub(super) fn of(path: &Path, text: &[u8]) -> Escape {
        let extension = path.extension().map(|e| e.to_ascii_lowercase());
        let extension = extension.as_deref().and_then(|e| e.to_str()).unwrap_or_default();
        let text_only = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        if extension == "json" {
            return Escape::Json(Json::new());
        }
        // Others than .NET have files of this name, in other forms.
        let is_other = extension == "config" && !text_only.trim_ascii_start().starts_with(b"<");
        let is_xml = OF_XML.contains(&extension) && !is_other;
        match is_xml || text_only.starts_with(b"<?xml") {
            true => Escape::Xml(Xml::of(text)),
            false => Escape::Plain,
        }
    }

    /// Goes on over text that stays as it is.
    ///
    /// # Errors
    /// Why the value before it can't stand there.
    pub(super) fn text(&mut self, text: &[u8], to: &mut Vec<u8>) -> Result<(), &'static str> {
        match self {
            Escape::Plain => {}
            Escape::Json(json) => json.text(text)?,
            Escape::Xml(xml) => xml.text(text),
        }
        to.extend_from_slice(text);
        Ok(())
    }

    /// Writes a value, before this text.
    ///
    /// # Errors
    /// Why it can't stand there.
    pub(super) fn value(
        &mut self,
        value: &[u8],
        after: &[u8],
        to: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        if let Escape::Plain = self {
            to.extend_from_slice(value);
            return Ok(());
        }
        let value = std::str::from_utf8(value).map_err(|_| "its value is not UTF-8")?;
        let before = to[to.len().saturating_sub(8)..].to_vec();
        let around = Around::new(&before, after);
        match self {
            Escape::Plain => Ok(()),
            Escape::Json(json) => json.value(value, &around, to),
            Escape::Xml(xml) => xml.value(value, &around, to),
        }
    }
}
