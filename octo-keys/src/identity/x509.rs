//! What a certificate says, by the shape that RFC 5280, section 4.1, gives it.
//!
//! Certificates that others made are read, too: of version 1, with any key,
//! with extensions that nothing here knows. No signature is verified: a
//! thumbprint is what identifies a certificate.

use super::der::{self, Reader, dotted, whole_bytes};
use super::public_key::{algorithm, key_type};
use jiff::civil::DateTime;
use octo_core::base::encoding::printable;

/// What people ask about a certificate.
pub(crate) struct CertificateFields {
    /// From 1 to 3.
    pub(crate) version: u8,
    /// The subject's common name, else the whole subject; escaped.
    pub(crate) name: String,
    /// `ed25519`, `ecdsa-p256`, `rsa-2048`, else the object identifier.
    pub(crate) key: String,
    /// RFC 3339.
    pub(crate) not_before: String,
    /// RFC 3339.
    pub(crate) not_after: String,
    /// The SubjectPublicKeyInfo, as DER.
    pub(crate) public_key: Vec<u8>,
}

/// TBSCertificate's optional parts: `[0]` to `[3]`.
const VERSION: u8 = 0xa0;
const ISSUER_UNIQUE_ID: u8 = 0x81;
const SUBJECT_UNIQUE_ID: u8 = 0x82;
const EXTENSIONS: u8 = 0xa3;

/// RFC 4514's short names.
const COMMON_NAME: &str = "CN";
const SHORT_NAMES: &[(&str, &str)] = &[
    ("2.5.4.3", COMMON_NAME),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
];

impl CertificateFields {
    /// The fields of a certificate in DER; `None` where it is damaged.
    pub(crate) fn read(certificate: &[u8]) -> Option<CertificateFields> {
        let mut outer = Reader::new(certificate);
        let mut certificate = outer.inside(der::SEQUENCE)?;
        outer.end()?;
        let mut signed = certificate.inside(der::SEQUENCE)?;
        let signature_algorithm = certificate.whole(der::SEQUENCE)?;
        algorithm(&mut Reader::new(signature_algorithm))?;
        whole_bytes(certificate.take(der::BIT_STRING)?)?;
        certificate.end()?;

        let version = version(&mut signed)?;
        signed.take(der::INTEGER).filter(|serial| !serial.is_empty())?;
        signed.whole(der::SEQUENCE).filter(|inner| *inner == signature_algorithm)?;
        let _issuer = attributes(signed.inside(der::SEQUENCE)?)?;
        let mut validity = signed.inside(der::SEQUENCE)?;
        let (not_before, not_after) = (time(&mut validity)?, time(&mut validity)?);
        validity.end()?;
        let subject = attributes(signed.inside(der::SEQUENCE)?)?;
        let public_key = signed.whole(der::SEQUENCE)?;
        let _ = (signed.take(ISSUER_UNIQUE_ID), signed.take(SUBJECT_UNIQUE_ID));
        if let Some(extensions) = signed.inside(EXTENSIONS) {
            check_extensions(extensions)?;
        }
        signed.end()?;
        Some(CertificateFields {
            version,
            name: name(&subject),
            key: key_type(public_key)?,
            not_before,
            not_after,
            public_key: public_key.to_vec(),
        })
    }
}

fn version(signed: &mut Reader<'_>) -> Option<u8> {
    let Some(mut wrapped) = signed.inside(VERSION) else { return Some(1) };
    let [number @ (1 | 2)] = wrapped.take(der::INTEGER)? else { return None };
    wrapped.end()?;
    Some(number + 1)
}

/// The attributes of a name, each as its kind and its value.
fn attributes(mut sets: Reader<'_>) -> Option<Vec<(String, String)>> {
    let mut all = Vec::new();
    while !sets.is_empty() {
        let mut set = sets.inside(der::SET)?;
        while !set.is_empty() {
            let mut attribute = set.inside(der::SEQUENCE)?;
            let kind = dotted(attribute.take(der::OBJECT_IDENTIFIER)?)?;
            let short = SHORT_NAMES.iter().find(|(identifier, _)| *identifier == kind);
            let (tag, value) = attribute.element()?;
            attribute.end()?;
            all.push((short.map_or(kind, |(_, short)| short.to_string()), text(tag, value)));
        }
    }
    Some(all)
}

/// A peer's bytes, escaped.
fn text(tag: u8, value: &[u8]) -> String {
    if tag != der::BMP_STRING {
        return printable(value);
    }
    let letters: Vec<u16> =
        value.chunks(2).map(|pair| pair.iter().fold(0, |l, b| l << 8 | u16::from(*b))).collect();
    printable(String::from_utf16_lossy(&letters).as_bytes())
}

fn name(subject: &[(String, String)]) -> String {
    if let Some((_, common)) = subject.iter().find(|(kind, _)| kind == COMMON_NAME) {
        return common.clone();
    }
    let all: Vec<String> = subject.iter().map(|(kind, value)| format!("{kind}={value}")).collect();
    all.join(", ")
}

/// RFC 3339, of the two forms that section 4.1.2.5 permits.
fn time(times: &mut Reader<'_>) -> Option<String> {
    let (tag, contents) = times.element()?;
    let digits = std::str::from_utf8(contents).ok()?.strip_suffix('Z')?;
    let digits = match (tag, digits.len()) {
        (der::GENERALIZED_TIME, 14) => digits.to_string(),
        (der::UTC_TIME, 12) if digits < "50" => format!("20{digits}"),
        (der::UTC_TIME, 12) => format!("19{digits}"),
        _ => return None,
    };
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let time = DateTime::strptime("%Y%m%d%H%M%S", digits).ok()?;
    Some(format!("{time}Z"))
}

fn check_extensions(mut wrapped: Reader<'_>) -> Option<()> {
    let mut extensions = wrapped.inside(der::SEQUENCE)?;
    wrapped.end()?;
    while !extensions.is_empty() {
        let mut extension = extensions.inside(der::SEQUENCE)?;
        dotted(extension.take(der::OBJECT_IDENTIFIER)?)?;
        extension.take(der::BOOLEAN);
        extension.take(der::OCTET_STRING)?;
        extension.end()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData};

    /// One with extensions, as `octo-keys new` and others make them.
    fn real(algorithm: &'static rcgen::SignatureAlgorithm) -> (Vec<u8>, Vec<u8>) {
        let mut parameters = CertificateParams::new(vec!["web1".into()]).expect("parameters");
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::OrganizationName, "Example");
        parameters.distinguished_name.push(DnType::CommonName, "web1");
        parameters.not_before = rcgen::date_time_ymd(1970, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(9999, 12, 31);
        let pair = KeyPair::generate_for(algorithm).expect("a key");
        let certificate = parameters.self_signed(&pair).expect("a certificate");
        (certificate.der().to_vec(), pair.subject_public_key_info())
    }

    #[test]
    fn what_rcgen_makes_is_read() {
        for (algorithm, key) in [
            (&rcgen::PKCS_ED25519, "ed25519"),
            (&rcgen::PKCS_ECDSA_P256_SHA256, "ecdsa-p256"),
            (&rcgen::PKCS_ECDSA_P384_SHA384, "ecdsa-p384"),
            (&rcgen::PKCS_ECDSA_P521_SHA512, "ecdsa-p521"),
        ] {
            let (certificate, public_key) = real(algorithm);
            let fields = CertificateFields::read(&certificate).expect(key);
            assert_eq!((fields.name.as_str(), fields.key.as_str()), ("web1", key));
            assert_eq!(fields.not_before, "1970-01-01T00:00:00Z");
            assert_eq!(fields.not_after, "9999-12-31T00:00:00Z");
            assert_eq!(fields.public_key, public_key);
        }
    }

    #[test]
    fn what_is_cut_short_or_too_long_is_refused() {
        for algorithm in [&rcgen::PKCS_ED25519, &rcgen::PKCS_ECDSA_P256_SHA256] {
            let (mut certificate, _) = real(algorithm);
            for cut in 0..certificate.len() {
                assert!(CertificateFields::read(&certificate[..cut]).is_none(), "cut at {cut}");
            }
            certificate.push(0);
            assert!(CertificateFields::read(&certificate).is_none());
        }
    }

    /// A changed byte may still be a certificate, of another name or key; it
    /// never panics, and never says what a terminal would obey.
    #[test]
    fn any_changed_byte_is_survived() {
        let (whole, _) = real(&rcgen::PKCS_ED25519);
        let mut refused = 0;
        for place in 0..whole.len() {
            let mut certificate = whole.clone();
            for change in 1..=255 {
                certificate[place] = whole[place] ^ change;
                match CertificateFields::read(&certificate) {
                    Some(read) => {
                        assert!(!read.name.chars().any(char::is_control), "{place} {change}");
                        assert_eq!(read.not_before.len(), 20, "{place} {change}");
                    }
                    None => refused += 1,
                }
            }
        }
        // Of 284 bytes, more than a third are tags, lengths, identifiers and dates.
        assert!(refused > 30_000, "{refused}");
    }

    /// One element, of the parts that it consists of.
    fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let contents = parts.concat();
        let length = u16::try_from(contents.len()).expect("a small one").to_be_bytes();
        let header = match length {
            [0, short @ 0..0x80] => vec![tag, short],
            [0, long] => vec![tag, 0x81, long],
            [high, low] => vec![tag, 0x82, high, low],
        };
        [header, contents].concat()
    }

    fn sequence(parts: &[&[u8]]) -> Vec<u8> {
        element(der::SEQUENCE, parts)
    }

    /// A name of attributes, given as identifier, tag and value.
    fn name_of(attributes: &[(&[u8], u8, &[u8])]) -> Vec<u8> {
        let sets: Vec<Vec<u8>> = attributes
            .iter()
            .map(|(identifier, tag, value)| {
                let identifier = element(der::OBJECT_IDENTIFIER, &[identifier]);
                let value = element(*tag, &[value]);
                element(der::SET, &[&sequence(&[&identifier, &value])])
            })
            .collect();
        sequence(&sets.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    /// The parts of a certificate of version 1, each to be exchanged by a test.
    struct Made {
        before_serial: Vec<u8>,
        algorithm: Vec<u8>,
        subject: Vec<u8>,
        validity: Vec<u8>,
        public_key: Vec<u8>,
        behind_key: Vec<u8>,
    }

    const UTF8_STRING: u8 = 0x0c;

    impl Made {
        fn new() -> Made {
            let modulus = element(der::INTEGER, &[&[0, 0x80], &[1; 255]]);
            let key = sequence(&[&modulus, &[2, 3, 1, 0, 1]]);
            let rsa = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
            let rsa = sequence(&[&element(der::OBJECT_IDENTIFIER, &[&rsa]), &[5, 0]]);
            Made {
                before_serial: Vec::new(),
                algorithm: sequence(&[&[6, 3, 0x2b, 0x65, 0x70]]),
                subject: name_of(&[(&[0x55, 4, 3], UTF8_STRING, b"old")]),
                validity: validity((der::UTC_TIME, "500101000000Z"), "20491231235959Z"),
                public_key: sequence(&[&rsa, &element(der::BIT_STRING, &[&[0], &key])]),
                behind_key: Vec::new(),
            }
        }

        fn read(&self) -> Option<CertificateFields> {
            let signed = sequence(&[
                &self.before_serial,
                &[2, 1, 9],
                &self.algorithm,
                &name_of(&[]),
                &self.validity,
                &self.subject,
                &self.public_key,
                &self.behind_key,
            ]);
            let algorithm = sequence(&[&[6, 3, 0x2b, 0x65, 0x70]]);
            CertificateFields::read(&sequence(&[&signed, &algorithm, &[3, 2, 0, 7]]))
        }
    }

    fn validity((tag, from): (u8, &str), until: &str) -> Vec<u8> {
        let until = element(der::GENERALIZED_TIME, &[until.as_bytes()]);
        sequence(&[&element(tag, &[from.as_bytes()]), &until])
    }

    #[test]
    fn names_of_every_kind() {
        let (common, country, other) = (&[0x55, 4, 3][..], &[0x55, 4, 6][..], &[0x55, 4, 46][..]);
        for (attributes, name) in [
            (vec![(country, 0x13, &b"DE"[..]), (common, 0x13, b"ca")], "ca"),
            (vec![(country, 0x13, b"DE"), (other, UTF8_STRING, b"x")], "C=DE, 2.5.4.46=x"),
            (vec![(common, 0x14, b"M\xfcller")], "M\\xfcller"),
            (vec![(common, der::BMP_STRING, b"\0M\0\xfc\xd8\x00")], "Mü\u{fffd}"),
            (vec![(common, UTF8_STRING, b"a\x1b[31m\n")], "a\\x1b[31m\\n"),
            (vec![], ""),
        ] {
            let made = Made { subject: name_of(&attributes), ..Made::new() };
            assert_eq!(made.read().expect(name).name, name);
        }
    }

    #[test]
    fn certificates_of_version_1_and_3() {
        let old = Made::new().read().expect("version 1");
        assert_eq!((old.version, old.name.as_str(), old.key.as_str()), (1, "old", "rsa-2048"));
        assert_eq!(old.not_before, "1950-01-01T00:00:00Z");
        assert_eq!(old.not_after, "2049-12-31T23:59:59Z");
        let critical = sequence(&[&[6, 1, 9], &[1, 1, 0xff], &[4, 0]]);
        let made = Made {
            before_serial: vec![0xa0, 3, 2, 1, 2],
            behind_key: element(EXTENSIONS, &[&sequence(&[&critical])]),
            ..Made::new()
        };
        assert_eq!(made.read().expect("an extension that nobody knows").version, 3);
    }

    #[test]
    fn damage_inside_is_refused() {
        let ends = "20491231235959Z";
        let utc = |from| validity((der::UTC_TIME, from), ends);
        let damaged = [
            ("version 4", Made { before_serial: vec![0xa0, 3, 2, 1, 3], ..Made::new() }),
            ("algorithms differ", Made { algorithm: sequence(&[&[6, 1, 9]]), ..Made::new() }),
            ("no February 30", Made { validity: utc("240230000000Z"), ..Made::new() }),
            ("no time zone", Made { validity: utc("2402280000000"), ..Made::new() }),
            ("no seconds", Made { validity: utc("2402280000Z"), ..Made::new() }),
            ("a sign", Made { validity: utc("24022800+100Z"), ..Made::new() }),
            ("not ASCII", Made { validity: utc("24022800é00Z"), ..Made::new() }),
            ("no name", Made { subject: vec![5, 0], ..Made::new() }),
            (
                "an empty attribute",
                Made { subject: vec![0x30, 4, 0x31, 2, 0x30, 0], ..Made::new() },
            ),
            ("no key", Made { public_key: sequence(&[]), ..Made::new() }),
            ("bytes behind the key", Made { behind_key: vec![0xa4, 0], ..Made::new() }),
            ("no extensions", Made { behind_key: vec![EXTENSIONS, 0], ..Made::new() }),
            (
                "an extension without a value",
                Made { behind_key: vec![EXTENSIONS, 7, 0x30, 5, 0x30, 3, 6, 1, 9], ..Made::new() },
            ),
        ];
        for (what, made) in damaged {
            assert!(made.read().is_none(), "{what}");
        }
    }
}
