//! What a script hands back: NAME=VALUE lines in the file of `$OCTO_OUTPUT`.

use super::allowance::Allowance;
use crate::job::mask::Masker;
use crate::job::prepare::directories::VALUES;
use crate::job::prepare::secrets::Secrets;
use octo_core::base::error::{Error, Result};
use octo_core::base::paths::read_bounded;
use octo_core::base::users::User;
use octo_core::tentacle::account::of_file;
use octo_core::tentacle::job::JobDirectory;
use octo_core::tentacle::outputs;
use std::os::unix::fs::MetadataExt;

/// The largest file of values that a script may leave.
const MAXIMUM: u64 = 1 << 20;

/// Publishes the values as the job's `outputs`; says what was wrong with them:
/// that changes nothing about how the script ended.
pub(crate) fn take(
    job: &JobDirectory,
    user: &User,
    secrets: &Secrets,
    allowance: &Allowance,
) -> Vec<String> {
    let bytes = match read(job, user) {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(wrong)) => return vec![wrong],
        Err(error) => return vec![format!("its values: {}", error.message)],
    };
    let masker = Masker::new(secrets.iter().map(|(_, value)| value.as_slice()));
    let (kept, wrong) = sound(&bytes, masker);
    let mut reasons: Vec<String> = wrong.into_iter().collect();
    if !kept.is_empty() {
        let room = allowance.take(of_file(kept.len() as u64));
        let published = room
            .and_then(|_left| job.publish_bytes("outputs", &kept).map_err(|error| error.message));
        reasons.extend(published.err().map(|why| format!("its values are lost: {why}")));
    }
    reasons
}

/// The bytes of the file, if it is still what we gave to the job.
fn read(job: &JobDirectory, user: &User) -> Result<std::result::Result<Vec<u8>, String>> {
    let Some(mut file) = job.open(VALUES)? else {
        return Ok(Err("its file of values is gone".into()));
    };
    let metadata = file.metadata().map_err(|e| Error::io(&job.file(VALUES), &e))?;
    if metadata.uid() != user.uid {
        return Ok(Err("its file of values is another user's".into()));
    }
    if metadata.len() > MAXIMUM {
        return Ok(Err(format!("its values are larger than {MAXIMUM} bytes: dropped")));
    }
    read_bounded(&mut file, &job.file(VALUES), MAXIMUM).map(Ok)
}

/// The sound lines, masked; and what is wrong with the others.
fn sound(bytes: &[u8], mut masker: Masker) -> (Vec<u8>, Option<String>) {
    let bytes = [masker.pass(bytes).into_owned(), masker.finish()].concat();
    let (kept, faults) = outputs::sound(&bytes);
    let wrong = faults.but_repeated().told().map(|wrong| format!("its values: {wrong}"));
    (kept, wrong)
}

/// Removes the script's own file, which is not masked: from the end on there is `outputs`.
pub(crate) fn clear(job: &JobDirectory) {
    let _ = std::fs::remove_file(job.file(VALUES));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_form_are_kept_masked() {
        let given = b"A=1\nB=secret!\nC\nA=secret! 2\nPATH=x";
        let (kept, wrong) = sound(given, Masker::new([&b"secret!"[..]].into_iter()));
        assert_eq!(kept, b"B=********\nA=******** 2\n");
        let wrong = wrong.expect("faults");
        assert!(
            wrong.starts_with("its values: not NAME=VALUE in line 3; variable PATH"),
            "{wrong}"
        );
    }
}
