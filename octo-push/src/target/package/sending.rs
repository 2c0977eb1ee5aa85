//! The body of a put: segments as they are, or as the frames that were made of them.

use crate::target::connection::client::Client;
use crate::target::connection::client_error::ClientError;
use crate::target::connection::throttle::Throttle;
use crate::target::package::link::Link;
use crate::target::package::progress::UploadProgress;
use crate::target::package::segments::{Made, Segments};
use crate::target::package::source::{PIECE, Source};
use octo_core::base::error::{Error, Exit, describe};
use octo_core::patch::{copies_text, ranges_text};
use octo_wire::{Duplex, Fields, StreamWord};
use std::time::Instant;

/// On a fast link so many bytes go as one part, and more and more: the first of them may
/// have gone into buffers on the way.
const RUN: u64 = 1 << 20;
const LONGEST_RUN: u64 = 1 << 30;

impl Source {
    /// Sends all that is left of it, in parts.
    pub(super) fn send_parts<S: Duplex>(
        &self,
        segments: &Segments,
        client: &mut Client<'_, S>,
        upload: &mut UploadProgress<'_>,
    ) -> Result<(), ClientError> {
        let throttle = upload.context.client_config.throttle.as_deref();
        let (mut link, mut run) = (Link::limited(throttle.map(Throttle::most)), RUN);
        while upload.at < self.size() {
            let (at, index) = (upload.at, segments.index_of(upload.at));
            let is_slow = link.is_slower_than(segments.pace());
            let made = match (segments.has_base() || is_slow) && !upload.retry.whole {
                true => segments.made(self, index),
                false => Made::Stored,
            };
            let segment = segments.segment(index);
            let (began, wire) = (Instant::now(), upload.sent.wire);
            match made {
                Made::Frame { at: from, length } => {
                    upload.built_on = true;
                    let (ranges, copies) =
                        (ranges_text(&segment.ranges), copies_text(&segment.copies));
                    let part = Fields::of(StreamWord::Part)
                        .with("size", segment.end - segment.start)
                        .maybe("skip", Some(at - segment.start).filter(|skip| *skip > 0))
                        .maybe("zstd", (length > 0).then_some("yes"))
                        .maybe("ranges", Some(ranges).filter(|text| !text.is_empty()))
                        .maybe("copies", Some(copies).filter(|text| !text.is_empty()));
                    upload.sent.wire += client.send_part(&part.with("body", length))?;
                    self.send_frame(segments, client, [from, length], upload)?;
                    upload.came(segment.end - at);
                }
                Made::Stored => {
                    // Where a segment ends: another part of it as a frame would be all of it.
                    let end = match segments.has_base() || is_slow || at == 0 {
                        true => segment.end,
                        false => segments.end_before(at.saturating_add(run), index),
                    };
                    // In the beginning, and where it was slow, it is looked at soon again.
                    run = if is_slow || at == 0 { RUN } else { LONGEST_RUN.min(run * 2) };
                    segments.passed();
                    let part = Fields::of(StreamWord::Part).with("size", end - at);
                    upload.sent.wire += client.send_part(&part.with("body", end - at))?;
                    self.send(client, end, upload)?;
                }
            }
            link.sent(upload.sent.wire - wire, began.elapsed());
        }
        Ok(())
    }

    /// Sends a frame, which is so long and stands there.
    fn send_frame<S: Duplex>(
        &self,
        segments: &Segments,
        client: &mut Client<'_, S>,
        [from, length]: [u64; 2],
        upload: &mut UploadProgress<'_>,
    ) -> Result<(), ClientError> {
        let mut piece = vec![0; PIECE.min(length as usize)];
        let mut sent = 0;
        while sent < length {
            self.check(&upload.context.stop).map_err(ClientError::Local)?;
            client.hear()?;
            let count = piece.len().min((length - sent) as usize);
            let read = segments.read(&mut piece[..count], from + sent);
            let failed = |error| Error::new(Exit::Io, &self.shown, describe(&error));
            read.map_err(|error| ClientError::Local(failed(error)))?;
            client.send_bytes(&piece[..count])?;
            sent += count as u64;
            upload.sent.wire += count as u64;
        }
        Ok(())
    }

    /// Sends it from where the upload is up to `end`.
    pub(super) fn send<S: Duplex>(
        &self,
        client: &mut Client<'_, S>,
        end: u64,
        upload: &mut UploadProgress<'_>,
    ) -> Result<(), ClientError> {
        let mut piece = vec![0; PIECE];
        while upload.at < end {
            self.check(&upload.context.stop).map_err(ClientError::Local)?;
            // A refusal in mid-body: the disk is full, the trust is gone.
            client.hear()?;
            let wanted = usize::try_from(end - upload.at).unwrap_or(usize::MAX).min(PIECE);
            let count = self.read(&mut piece[..wanted], upload.at).map_err(ClientError::Local)?;
            client.send_bytes(&piece[..count])?;
            upload.came(count as u64);
            upload.sent.wire += count as u64;
        }
        Ok(())
    }
}
