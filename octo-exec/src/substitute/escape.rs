//! How a value is written into a file, by the kind of the file.

use super::around::Around;
use super::json::Json;
use super::xml::Xml;
use std::path::Path;

const OF_XML: [&str; 24] = [
    "xml", "xaml", "resx", "plist", "svg", "xhtml", "nuspec", "props", "targets", "config", "xsd",
    "xsl", "xslt", "wsdl", "csproj", "vbproj", "fsproj", "sitemap", "pubxml", "edmx", "tld",
    "fxml", "rss", "atom",
];
const OF_JSON: [&str; 6] = ["json", "jsonc", "json5", "webmanifest", "geojson", "jsonld"];
/// What is filled in before another tool fills in the rest has its kind before these.
const BEFORE: [&str; 5] = ["template", "tmpl", "dist", "example", "in"];

fn extension_of(path: &Path) -> String {
    let extension = path.extension().map(|e| e.to_ascii_lowercase());
    extension.as_deref().and_then(|e| e.to_str()).unwrap_or_default().to_string()
}

/// By its first tag: `<?`, `<!`, or a name, behind which it ends or an attribute follows.
fn begins_as_xml(text: &[u8]) -> bool {
    let Some(tag) = text.strip_prefix(b"<") else {
        // What begins with a variable, its name alone says.
        return text.starts_with(b"#{");
    };
    if matches!(tag.first(), Some(b'?' | b'!')) || tag.starts_with(b"#{") {
        return true;
    }
    let end = tag.iter().position(|b| b.is_ascii_whitespace() || matches!(b, b'>' | b'/'));
    let rest = end.map_or(&b""[..], |end| tag[end..].trim_ascii_start());
    let name = rest.iter().position(|b| !b.is_ascii_alphanumeric() && !b"_:.-".contains(b));
    let behind = name.map_or(&b""[..], |at| rest[at..].trim_ascii_start());
    matches!(rest.first(), Some(b'>' | b'/'))
        || behind.starts_with(b"#{")
        || (name > Some(0) && behind.starts_with(b"="))
}

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
        let mut extension = extension_of(path);
        if BEFORE.contains(&extension.as_str()) {
            extension = extension_of(&path.with_extension(""));
        }
        let extension = extension.as_str();
        let text_only = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start();
        let is_json_config = extension == "config" && text_only.starts_with(b"{");
        if OF_JSON.contains(&extension) || is_json_config {
            return Escape::Json(Json::new());
        }
        // Others have files of these names, too, in other forms: properties, Apache's.
        let is_xml = OF_XML.contains(&extension) && begins_as_xml(text_only);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_file_is_its_name_and_how_it_begins() {
        for (name, text, kind) in [
            ("a.json", "[1]", "Json"),
            ("appsettings.json.template", "{}", "Json"),
            ("site.webmanifest", "{}", "Json"),
            ("x.config", " { \"a\": 1 }", "Json"),
            ("web.config", "\u{feff}<configuration>", "Xml"),
            ("web.config", "<configuration xmlns:a = \"x\">", "Xml"),
            ("a.xslt", "<!-- x --><a/>", "Xml"),
            ("a.xml", "#{Head}<a/>", "Xml"),
            ("anything", "<?xml version=\"1.0\"?>", "Xml"),
            // Properties, Apache's, Erlang's, the old form of a property list.
            ("production.props", "db.password=x", "Plain"),
            ("apache.config", "<VirtualHost *:80>", "Plain"),
            ("app.config", "[{kernel, []}].", "Plain"),
            ("Info.plist", "{ Key = \"x\"; }", "Plain"),
            ("a.template", "x", "Plain"),
            ("json", "{}", "Plain"),
        ] {
            let escape = format!("{:?}", Escape::of(Path::new(name), text.as_bytes()));
            assert!(escape.starts_with(kind), "{name}: {escape}");
        }
    }
}
