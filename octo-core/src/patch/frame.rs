//! One segment as one Zstandard frame, made and read in one step each.

use super::{LARGEST_PREFIX, LARGEST_SEGMENT, longest_frame};
use std::io;
use zstd::zstd_safe::{
    CCtx, CParameter, DCtx, find_frame_compressed_size, get_dict_id_from_frame, get_error_name,
    get_frame_content_size,
};

/// How hard it is tried: what is harder is slower than a link of a gigabit.
const LEVEL: i32 = 3;
/// The same behind a prefix. The next one misses what a long match goes on with where bytes
/// don't compress by themselves: 12 KB of 8 MiB, where this takes one, in half of the time.
const LEVEL_BEHIND: i32 = 2;

/// The window, as a power of two: a match reaches from the end of a segment to the
/// beginning of its prefix.
const WINDOW: u32 = (LARGEST_PREFIX as usize + LARGEST_SEGMENT).next_power_of_two().ilog2();

/// Puts the frame of these bytes behind this prefix into the beginning of `into`, and
/// says how long it is; `None` where it takes more room than that.
///
/// # Errors
/// What the library says.
pub fn encode(prefix: &[u8], bytes: &[u8], into: &mut [u8]) -> io::Result<Option<usize>> {
    let mut context = CCtx::create();
    for parameter in [
        CParameter::CompressionLevel(if prefix.is_empty() { LEVEL } else { LEVEL_BEHIND }),
        CParameter::ContentSizeFlag(true),
        CParameter::ChecksumFlag(false),
        CParameter::DictIdFlag(false),
    ] {
        context.set_parameter(parameter).map_err(failed)?;
    }
    if !prefix.is_empty() {
        // Without these no match is found but near the prefix's end.
        context.set_parameter(CParameter::EnableLongDistanceMatching(true)).map_err(failed)?;
        context.set_parameter(CParameter::WindowLog(WINDOW)).map_err(failed)?;
        context.ref_prefix(prefix).map_err(failed)?;
    }
    match context.compress2(into, bytes) {
        Ok(length) => Ok(Some(length)),
        Err(code) if is_no_room(code) => Ok(None),
        Err(code) => Err(failed(code)),
    }
}

fn is_no_room(code: usize) -> bool {
    get_error_name(code) == "Destination buffer is too small"
}

fn failed(code: usize) -> io::Error {
    io::Error::other(get_error_name(code))
}

/// Fills these bytes with those of a frame behind this prefix.
///
/// # Errors
/// In words, where it is not one frame that states this size, has it, and wants nothing
/// but its prefix.
pub fn decode(prefix: &[u8], frame: &[u8], bytes: &mut [u8]) -> Result<(), String> {
    let size = bytes.len();
    if size == 0 || size > LARGEST_SEGMENT || frame.len() > longest_frame(size) {
        return Err("a segment is not of a size that it may have".into());
    }
    if get_frame_content_size(frame).ok().flatten() != Some(size as u64) {
        return Err("a frame does not state the size of its segment".into());
    }
    if find_frame_compressed_size(frame) != Ok(frame.len()) {
        return Err("a segment is not exactly one frame".into());
    }
    if get_dict_id_from_frame(frame).is_some() {
        return Err("a frame wants a dictionary".into());
    }
    let told = |code| format!("a frame is damaged: {}", get_error_name(code));
    // In one step into memory that is ours: whatever window it states, none is made.
    let mut context = DCtx::create();
    context.ref_prefix(prefix).map_err(told)?;
    match context.decompress(bytes, frame).map_err(told)? {
        length if length == size => Ok(()),
        length => Err(format!("a frame has {length} bytes, {size} were announced")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::noise;
    use super::*;

    fn decode(prefix: &[u8], frame: &[u8], size: usize) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; size];
        super::decode(prefix, frame, &mut bytes).map(|()| bytes)
    }

    fn encoded(prefix: &[u8], bytes: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; longest_frame(bytes.len())];
        let length = encode(prefix, bytes, &mut frame).expect("encoded").expect("room for it");
        frame.truncate(length);
        frame
    }

    #[test]
    fn what_is_in_the_prefix_costs_nearly_nothing_wherever_it_is() {
        let prefix = noise(4 << 20, 1);
        // From the middle of it, and two bytes of one's own.
        let mut bytes = prefix[1 << 20..3 << 20].to_vec();
        bytes[100_000] ^= 1;
        bytes[1_900_000] ^= 1;
        let frame = encoded(&prefix, &bytes);
        assert!(frame.len() < 1000, "{}", frame.len());
        assert!(decode(&prefix, &frame, bytes.len()).expect("decoded") == bytes);
        // Another prefix gives other bytes, or none.
        let other = decode(&noise(4 << 20, 2), &frame, bytes.len());
        assert!(other.is_err() || other.is_ok_and(|other| other != bytes));
        let mut small = [0; 100];
        assert_eq!(encode(b"", &noise(1000, 3), &mut small).expect("told"), None);
    }

    #[test]
    fn a_frame_that_is_not_of_the_form_is_refused() {
        let bytes = vec![b'x'; 5000];
        let frame = encoded(b"", &bytes);
        assert_eq!(decode(b"", &frame, 5000).expect("decoded"), bytes);
        for cut in 0..frame.len() {
            assert!(decode(b"", &frame[..cut], 5000).is_err(), "{cut}");
        }
        let unsized_frame = {
            let mut context = CCtx::create();
            context.set_parameter(CParameter::ContentSizeFlag(false)).expect("set");
            let mut into = vec![0; 10_000];
            let length = context.compress2(&mut into[..], &bytes).expect("made");
            into.truncate(length);
            into
        };
        // A window of a gigabyte: magic number, descriptor with eight bytes of size, the
        // window, the size, then one block of which one byte is repeated.
        let window = |size: u64| {
            let mut made = vec![0x28, 0xb5, 0x2f, 0xfd, 0xc0, 20 << 3];
            made.extend(size.to_le_bytes());
            made.extend([0x03 | 0x40, 0x9c, 0x00, b'x']);
            made
        };
        let bomb = encoded(b"", &vec![0; LARGEST_SEGMENT]);
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], b"abcd"].concat();
        for (frame, size, said) in [
            (&[&frame[..], &frame].concat(), 5000, "exactly one"),
            (&[&frame[..], b"x"].concat(), 5000, "exactly one"),
            (&frame, 4999, "does not state"),
            (&frame, 0, "size that it may"),
            (&frame, LARGEST_SEGMENT + 1, "size that it may"),
            (&unsized_frame, 5000, "does not state"),
            (&window(5001), 5000, "does not state"),
            (&bomb, 5000, "does not state"),
            (&skippable, 4, "does not state"),
            (&vec![0; 5000], 5000, "does not state"),
            (&Vec::new(), 5000, "does not state"),
            (&vec![0; longest_frame(10) + 1], 10, "size that it may"),
        ] {
            let error = decode(b"", frame, size).expect_err(said);
            assert!(error.contains(said), "{error}");
        }
    }

    /// Whatever is flipped, it is told or other bytes come, and nothing else happens.
    #[test]
    fn any_bytes_are_refused_or_decoded_to_their_size() {
        let prefix = noise(10_000, 4);
        let frame = encoded(&prefix, &prefix[100..9000]);
        let flips = noise(3 * 2000, 5);
        for flip in flips.as_chunks::<3>().0 {
            let mut broken = frame.clone();
            let at = usize::from(flip[0]) * 256 + usize::from(flip[1]);
            let count = broken.len();
            broken[at % count] ^= flip[2];
            if let Ok(bytes) = decode(&prefix, &broken, 8900) {
                assert_eq!(bytes.len(), 8900);
            }
        }
    }
}
