//! hello-web: the sample application that the quickstart deploys.
//!
//! `hello-web [ADDRESS:PORT] [DIR]` serves one release: the page is
//! DIR/content/index.html, the version DIR's own name (releases/1.4). `/health`
//! answers 200 while the page can be served, else 503. Both may also come from HELLO_LISTEN and
//! HELLO_DIR; port 0 picks one. It prints `listening ADDRESS:PORT` once it is ready.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(io::stderr(), "hello-web: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let mut given = |variable: &str, default: &str| {
        arguments
            .next()
            .or_else(|| std::env::var(variable).ok())
            .unwrap_or_else(|| default.to_string())
    };
    let address = given("HELLO_LISTEN", "127.0.0.1:8080");
    let release = Arc::new(Release::open(Path::new(&given("HELLO_DIR", ".")))?);
    let listener = TcpListener::bind(&address).map_err(|e| format!("{address}: {e}"))?;
    let bound = listener.local_addr().map_err(|e| format!("{address}: {e}"))?;
    let _ = writeln!(io::stdout(), "listening {bound}");

    loop {
        let Ok((stream, _)) = listener.accept() else {
            // Out of descriptors, most likely: a turn of waiting, not a busy loop.
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        let release = Arc::clone(&release);
        let _ = std::thread::Builder::new().spawn(move || {
            let _ = converse(&release, stream);
        });
    }
}

/// One release, by the directory that `current` meant when the server started: a
/// switch of the link changes what the next start serves, and never a page half-way.
struct Release {
    directory: PathBuf,
    version: String,
}

impl Release {
    fn open(directory: &Path) -> Result<Release, String> {
        let directory =
            directory.canonicalize().map_err(|e| format!("{}: {e}", directory.display()))?;
        let name = directory.file_name().unwrap_or_default();
        let version = name.to_string_lossy().into_owned();
        Ok(Release { directory, version })
    }

    /// The page, with `{version}` replaced.
    fn page(&self) -> io::Result<String> {
        let text = std::fs::read_to_string(self.directory.join("content/index.html"))?;
        Ok(text.replace("{version}", &self.version))
    }

    /// Status line, type and body of the answer to a request line.
    fn answer(&self, request: &str) -> (&'static str, &'static str, String) {
        const HTML: &str = "text/html; charset=utf-8";
        const TEXT: &str = "text/plain; charset=utf-8";
        let mut words = request.split_ascii_whitespace();
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let path = target.split('?').next().unwrap_or("");
        match (method, path, self.page()) {
            ("GET" | "HEAD", "/", Ok(page)) => ("200 OK", HTML, page),
            ("GET" | "HEAD", "/health", Ok(_)) => {
                ("200 OK", TEXT, format!("ok {}\n", self.version))
            }
            ("GET" | "HEAD", "/" | "/health", Err(error)) => (
                "503 Service Unavailable",
                TEXT,
                format!("content/index.html: {error} (version {})\n", self.version),
            ),
            ("GET" | "HEAD", _, _) => ("404 Not Found", TEXT, "not found\n".to_string()),
            _ => ("405 Method Not Allowed", TEXT, "GET and HEAD only\n".to_string()),
        }
    }
}

/// One request, one answer: enough for a sample, and nothing to get wrong.
fn converse(release: &Release, mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    let mut request = String::new();
    let mut reader = BufReader::new(stream.try_clone()?).take(16 * 1024);
    reader.read_line(&mut request)?;
    // A reset would overtake the answer if the headers were left unread.
    let mut header = String::new();
    while reader.read_line(&mut header)? > 0 && !header.trim_end().is_empty() {
        header.clear();
    }
    let (status, kind, body) = release.answer(&request);
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    if !request.starts_with("HEAD ") {
        stream.write_all(body.as_bytes())?;
    }
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(content: Option<&str>) -> (PathBuf, Release) {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let top = std::env::temp_dir().join(format!("hello-web-{}-{count}", std::process::id()));
        let directory = top.join("releases/1.2");
        std::fs::create_dir_all(directory.join("content")).expect("mkdir");
        if let Some(content) = content {
            std::fs::write(directory.join("content/index.html"), content).expect("write");
        }
        std::os::unix::fs::symlink("releases/1.2", top.join("current")).expect("symlink");
        let release = Release::open(&top.join("current")).expect("open");
        (top, release)
    }

    #[test]
    fn a_whole_release_answers_with_its_version() {
        let (top, release) = release(Some("<p>{version}"));
        let first = |request| release.answer(request);
        assert_eq!(first("GET / HTTP/1.1").2, "<p>1.2");
        assert_eq!(first("GET /health?x HTTP/1.1").2, "ok 1.2\n");
        assert_eq!(first("GET /../../etc/passwd HTTP/1.1").0, "404 Not Found");
        assert_eq!(first("POST / HTTP/1.1").0, "405 Method Not Allowed");
        assert_eq!(first("").0, "405 Method Not Allowed");
        std::fs::remove_dir_all(top).expect("rm");
    }

    #[test]
    fn a_release_without_its_page_is_not_healthy() {
        let (top, release) = release(None);
        assert_eq!(release.answer("GET /health HTTP/1.1").0, "503 Service Unavailable");
        std::fs::remove_dir_all(top).expect("rm");
    }
}
