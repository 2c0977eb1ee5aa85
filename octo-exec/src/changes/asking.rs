//! Asking a process of the job's user to compare: it gets the package by a pipe, and has so
//! long for it. What it says counts only where all of the package passed, and was the one
//! that is to be approved.

use super::deployment::Deployment;
use crate::enter::identity::Identity;
use crate::enter::message;
use crate::releases::asking::{end, printed};
use crate::start;
use octo_core::Digest;
use octo_core::base::digest::Hasher;
use octo_core::base::error::describe;
use octo_core::base::paths::Places;
use octo_core::tentacle::changes::{Changes, Compared, LARGEST};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::process::{ChildStdin, Stdio};
use std::sync::mpsc::channel;
use std::thread::Builder;
use std::time::{Duration, Instant};

/// So long it may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// So long behind its end it may take to see that all of the package had passed.
const A_MOMENT: Duration = Duration::from_secs(5);

/// What is said of this package; the error is why nothing is.
pub(super) fn ask(
    places: &Places,
    identity: &Identity,
    deployment: &Deployment,
    package: File,
) -> Result<Compared, String> {
    let failed = |error: io::Error| describe(&error);
    let entry = entry(identity, deployment, &package).map_err(failed)?;
    let mut command = start::own(places).map_err(failed)?;
    command.arg("compare").env_clear().current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(failed)?;
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("no pipe".into());
    };
    let (sender, fed) = channel();
    let feeding = move || drop(sender.send(feed(input, entry, package)));
    Builder::new().name("package".into()).spawn(feeding).map_err(failed)?;
    let bytes = printed(&output, LARGEST + 1, Instant::now() + PATIENCE);
    end(&mut child);
    // Over, or it fails now; but one that the kernel holds keeps it, and must not keep us.
    let fed = fed.recv_timeout(A_MOMENT);
    let bytes = bytes.map_err(failed)?;
    let Ok(changes) = Changes::parse(&bytes) else {
        let seconds = PATIENCE.as_secs();
        return Err(format!("no answer within {seconds} seconds, or it took too much memory"));
    };
    let compared = changes.outcome?;
    match fed {
        Ok(Ok(digest)) if digest == deployment.package => Ok(compared),
        _ => Err("the bytes of the package there are others than its sha256 says".into()),
    }
}

fn entry(identity: &Identity, deployment: &Deployment, package: &File) -> io::Result<Vec<u8>> {
    let mut begin = [0; 6];
    let length = package.read_at(&mut begin, 0)?;
    let begin: String = begin[..length].iter().map(|byte| format!("{byte:02x}")).collect();
    let Deployment { application, version, base, package } = deployment;
    let words = [base, application, version, &package.to_string(), &begin].map(OsString::from);
    let message = message::encode(identity, true, &words, &[]);
    Ok([&(message.len() as u64).to_be_bytes()[..], &message].concat())
}

/// Hashes what it hands on: a listener that has the file could write to it meanwhile.
fn feed(mut input: ChildStdin, entry: Vec<u8>, mut package: File) -> io::Result<Digest> {
    input.write_all(&entry)?;
    let (mut hasher, mut buffer) = (Hasher::new(), vec![0; 256 << 10]);
    loop {
        let count = package.read(&mut buffer)?;
        if count == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&buffer[..count]);
        input.write_all(&buffer[..count])?;
    }
}
