//! The type of a public key, by the identifier of its algorithm.

use super::der::{self, Element, Reader, dotted, whole_bytes};

const ED25519: &str = "1.3.101.112";
const RSA: &str = "1.2.840.113549.1.1.1";
const ECDSA: &str = "1.2.840.10045.2.1";

/// `ed25519`, `ecdsa-p256`, `rsa-2048`, else the object identifier of the
/// algorithm or its curve, of a SubjectPublicKeyInfo; `None` where it is damaged.
pub(crate) fn key_type(public_key: &[u8]) -> Option<String> {
    let mut outer = Reader::new(public_key);
    let mut parts = outer.inside(der::SEQUENCE)?;
    let (identifier, parameters) = algorithm(&mut parts)?;
    let bytes = whole_bytes(parts.take(der::BIT_STRING)?)?;
    parts.end()?;
    Some(match identifier.as_str() {
        ED25519 => "ed25519".into(),
        RSA => format!("rsa-{}", modulus_bits(bytes)?),
        ECDSA => {
            // Else the parameters are the numbers of a curve without a name.
            let named = parameters.filter(|(tag, _)| *tag == der::OBJECT_IDENTIFIER);
            let curve = named.and_then(|(_, curve)| dotted(curve));
            match curve.as_deref() {
                Some("1.2.840.10045.3.1.7") => "ecdsa-p256".into(),
                Some("1.3.132.0.34") => "ecdsa-p384".into(),
                Some("1.3.132.0.35") => "ecdsa-p521".into(),
                _ => curve.unwrap_or(identifier),
            }
        }
        _ => identifier,
    })
}

/// An algorithm's identifier and parameters, the latter as an element of any kind.
pub(crate) fn algorithm<'a>(parts: &mut Reader<'a>) -> Option<(String, Option<Element<'a>>)> {
    let mut algorithm = parts.inside(der::SEQUENCE)?;
    let identifier = dotted(algorithm.take(der::OBJECT_IDENTIFIER)?)?;
    let parameters = if algorithm.is_empty() { None } else { Some(algorithm.element()?) };
    algorithm.end()?;
    Some((identifier, parameters))
}

/// The size of an RSAPublicKey's modulus.
fn modulus_bits(key: &[u8]) -> Option<usize> {
    let mut numbers = Reader::new(key).inside(der::SEQUENCE)?;
    let modulus = numbers.take(der::INTEGER)?;
    numbers.take(der::INTEGER)?;
    numbers.end()?;
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    let first = modulus.get(zeros)?;
    Some((modulus.len() - zeros) * 8 - first.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_by_their_names() {
        let ecdsa = [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
        for (parameters, expected) in [
            (&[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7][..], Some("ecdsa-p256")),
            (&[6, 5, 0x2b, 0x81, 4, 0, 0x22], Some("ecdsa-p384")),
            (&[6, 5, 0x2b, 0x81, 4, 0, 0x23], Some("ecdsa-p521")),
            (&[6, 5, 0x2b, 0x81, 4, 0, 0x0a], Some("1.3.132.0.10")),
            (&[0x30, 0], Some(ECDSA)), // a curve of numbers
            (&[], Some(ECDSA)),
            (&[6, 5, 0x2b], None), // cut short
            (&[5, 0, 5, 0], None), // too much
        ] {
            let mut key = vec![0x30, (ecdsa.len() + parameters.len()) as u8];
            key.extend_from_slice(&[&ecdsa[..], parameters, &[3, 2, 0, 4]].concat());
            key.splice(0..0, [0x30, key.len() as u8]);
            assert_eq!(key_type(&key).as_deref(), expected, "{parameters:x?}");
        }
    }

    #[test]
    fn sizes_of_rsa_keys() {
        for (modulus, expected) in [
            (&[2, 3, 0, 0x80, 0][..], Some(16)),
            (&[2, 2, 0x7f, 0xff], Some(15)),
            (&[2, 1, 0], None),
            (&[2, 0], None),
            (&[4, 1, 1], None),
        ] {
            let key = [&[0x30, modulus.len() as u8 + 3], modulus, &[2, 1, 3]].concat();
            assert_eq!(modulus_bits(&key), expected, "{modulus:x?}");
        }
    }
}
