//! Handshakes that fail, in words: most failures are a wrong port.

use crate::failure::Failure;
use rustls::{AlertDescription, CertificateError, Error};

/// So many of the first bytes tell what a peer speaks.
pub(super) const TELLING: usize = 16;

/// The largest record of a handshake: RFC 8446 has 16 KiB and something for a cipher.
const LARGEST_RECORD: usize = 16 * 1024 + 256;

/// The first byte of a record of the handshake, RFC 8446, 5.1.
const HANDSHAKE: u8 = 0x16;

/// What there is of a peer's first record, which has its ClientHello.
#[derive(Debug, PartialEq, Eq)]
pub enum FirstRecord {
    /// More has to come.
    Partial,
    /// All of it is there.
    Whole,
    /// It is none of TLS, but what is said here.
    Foreign(String),
}

/// Looks at the first bytes of a peer, before any work is done for it; `there` is how
/// many it has sent.
pub fn first_record(first: &[u8], there: usize) -> FirstRecord {
    match first {
        [] | [HANDSHAKE] | [HANDSHAKE, 3] | [HANDSHAKE, 3, _] | [HANDSHAKE, 3, _, _] => {
            FirstRecord::Partial
        }
        [HANDSHAKE, 3, _, high, low, ..] => match usize::from(u16::from_be_bytes([*high, *low])) {
            0 | LARGEST_RECORD.. => FirstRecord::Foreign("doesn't speak TLS".into()),
            length if there >= 5 + length => FirstRecord::Whole,
            _ => FirstRecord::Partial,
        },
        other => {
            let what = what_it_speaks(other);
            FirstRecord::Foreign(what.unwrap_or_else(|| "doesn't speak TLS".into()))
        }
    }
}

/// It has TLS, and another protocol inside or none.
pub(super) fn speaks_something_else() -> Failure {
    Failure::OtherProtocol("speaks TLS, but not octo/1".into())
}

/// The peer closed before the handshake was through.
pub(super) fn cut_off(first: &[u8]) -> Failure {
    match what_it_speaks(first) {
        Some(what) => Failure::OtherProtocol(what),
        None => Failure::Truncated,
    }
}

/// What TLS found wrong with the peer, whose first bytes were these.
pub(super) fn explain(error: Error, first: &[u8]) -> Failure {
    match error {
        Error::AlertReceived(
            AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA,
        ) => Failure::Refused,
        // Before its ServerHello it would say that we have no cipher in common.
        Error::AlertReceived(AlertDescription::HandshakeFailure)
            if first.first() == Some(&HANDSHAKE) =>
        {
            Failure::Undecided
        }
        Error::AlertReceived(AlertDescription::NoApplicationProtocol)
        | Error::NoApplicationProtocol => speaks_something_else(),
        Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure) => {
            Failure::Untrusted("not trusted here".into())
        }
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            Failure::Untrusted("its key is not the certificate's".into())
        }
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            Failure::Untrusted("no authority trusted here signed it".into())
        }
        Error::InvalidCertificate(reason) => Failure::Untrusted(reason.to_string()),
        Error::NoCertificatesPresented => Failure::Untrusted("it presented none".into()),
        other => Failure::OtherProtocol(
            what_it_speaks(first)
                .unwrap_or_else(|| format!("doesn't speak octo/1 over TLS 1.3: {other}")),
        ),
    }
}

/// What the first bytes are of; `None` for TLS, or for none at all.
fn what_it_speaks(first: &[u8]) -> Option<String> {
    const KNOWN: [(&[u8], &str); 9] = [
        (b"SSH-", "SSH"),
        (b"HTTP/", "plain HTTP"),
        (b"GET ", "plain HTTP"),
        (b"POST ", "plain HTTP"),
        (b"HEAD ", "plain HTTP"),
        (b"OPTIONS ", "plain HTTP"),
        (b"PRI * HTTP/2", "plain HTTP"),
        (b"220 ", "a mail or file protocol"),
        (b"+OK", "a mail or file protocol"),
    ];
    if matches!(first, [] | [0x14..=0x17, ..]) {
        return None;
    }
    let known = KNOWN.iter().find(|(begins, _)| first.starts_with(begins));
    Some(match known {
        Some((_, name)) => format!("speaks {name}, not octo/1"),
        None => "doesn't speak TLS".to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_record_is_whole_with_its_last_byte() {
        let mut record = vec![0x16, 3, 1, 0x02, 0x00];
        record.resize(5 + 512, 1);
        for there in 0..record.len() {
            let first = &record[..there.min(TELLING)];
            assert_eq!(first_record(first, there), FirstRecord::Partial, "{there}");
        }
        assert_eq!(first_record(&record[..TELLING], 517), FirstRecord::Whole);
        assert_eq!(first_record(&record[..TELLING], 9999), FirstRecord::Whole);
        for foreign in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\n",
            b"\x15\x03\x01\x00\x02\x02\x46",
            b"\x16\x02",
            b"\x16\x03\x01\x00\x00",
            b"\x16\x03\x01\xff\xff",
        ] {
            let seen = first_record(foreign, foreign.len());
            assert!(matches!(seen, FirstRecord::Foreign(_)), "{foreign:?}: {seen:?}");
        }
    }

    #[test]
    fn a_wrong_port_is_told_by_its_first_bytes() {
        for (first, said) in [
            (&b"SSH-2.0-OpenSSH_9.9\r\n"[..], Some("SSH")),
            (b"HTTP/1.1 400 Bad R", Some("plain HTTP")),
            (b"GET / HTTP/1.1\r\n", Some("plain HTTP")),
            (b"220 mail.example ESMTP", Some("mail")),
            (b"\x00\x01\x02", Some("doesn't speak TLS")),
            (b"\x15\x03\x01\x00\x02\x02\x46", None),
            (b"", None),
        ] {
            let told = what_it_speaks(first);
            assert_eq!(told.is_some(), said.is_some(), "{first:?}");
            assert!(told.unwrap_or_default().contains(said.unwrap_or_default()), "{first:?}");
        }
    }
}
