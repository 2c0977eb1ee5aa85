//! The values of a job's sensitive variables, as they travel: 32 random bytes,
//! so that the digest in the spec gives nothing away, then `NAME=VALUE` NUL each.

use super::reading::check_value;
use super::{SpecError, malformed};
use crate::base::digest::Digest;
use crate::base::names::VariableName;

/// The body for these values, in the order of the spec's `secret` lines.
/// Whoever repeats a job must send the same body again, so its 32 bytes are
/// made, not drawn: `Seed::nonce`. Nobody else may know them.
pub fn encode_with(random: &[u8; 32], values: &[(VariableName, Vec<u8>)]) -> Vec<u8> {
    let mut body = random.to_vec();
    for (name, value) in values {
        body.extend_from_slice(name.as_str().as_bytes());
        body.push(b'=');
        body.extend_from_slice(value);
        body.push(0);
    }
    body
}

/// The values of a body that has this digest and holds exactly these names.
///
/// # Errors
/// Malformed, without a word of the values.
pub fn decode(
    body: &[u8],
    digest: &Digest,
    names: &[VariableName],
) -> Result<Vec<(VariableName, Vec<u8>)>, SpecError> {
    if Digest::of(body) != *digest {
        return Err(malformed("the secrets don't have the sha256 of the spec"));
    }
    let mut rest = body.get(32..).ok_or_else(|| malformed("the secrets are cut short"))?;
    let mut values = Vec::new();
    for name in names {
        let end = rest
            .iter()
            .position(|b| *b == 0)
            .ok_or_else(|| malformed("the secrets are cut short"))?;
        let value = rest[..end]
            .strip_prefix(name.as_str().as_bytes())
            .and_then(|v| v.strip_prefix(b"="))
            .ok_or_else(|| malformed(format!("secret {name} is not where the spec says")))?;
        check_value(|| format!("secret {name}"), value, end)?;
        values.push((name.clone(), value.to_vec()));
        rest = &rest[end + 1..];
    }
    if rest.is_empty() { Ok(values) } else { Err(malformed("more secrets than the spec names")) }
}
