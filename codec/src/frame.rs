//! From bytes to whole PDUs and back: cutting by `command_length`, the header, what became of the
//! body. SMPP 3.4 §3.2 and §5.1.

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use crate::field::{DecodeError, FieldError, Frame, Part, Place, Source};
use crate::pdu::Body;
use crate::values::{CommandId, CommandStatus};

/// The octets of the header, which are the least that a PDU can have.
pub const HEADER_LEN: usize = 16;

/// The `command_length` of a PDU without a body.
const BARE_LENGTH: u32 = 16;

/// A `command_length` after which no PDU boundary can be found: the link must close. §5.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Below the 16 octets of a header.
    #[error("command_length {length} is below a header's 16")]
    TooShort {
        /// The length that the peer gave.
        length: u32,
    },
    /// Above what the caller accepts.
    #[error("command_length {length} is above the limit of {max}")]
    TooLong {
        /// The length that the peer gave.
        length: u32,
        /// The most that the caller accepts.
        max: usize,
    },
}

impl FrameError {
    /// The `sequence_number` of the `generic_nack` that this gets: that of the request whose octets
    /// these are, where its header can be read; else 0. A response has 0 too: one that bears its number
    /// would answer a request of the peer's. §4.3.1.
    #[must_use]
    pub fn sequence(&self, octets: &[u8]) -> u32 {
        let header = match self {
            Self::TooShort { .. } => None,
            Self::TooLong { .. } => Header::read(octets),
        };
        let request = |header: &Header| {
            header.command_id.name().is_some() && !header.command_id.is_response()
        };
        header.filter(request).map_or(0, |header| header.sequence)
    }
}

/// Splits one whole PDU off the front of `buffer`, or nothing while it has not all come. Nothing is
/// copied: the frame, and every text and TLV decoded from it, keeps the memory that was read into
/// alive, so what is to be kept long is to be copied.
///
/// # Errors
///
/// Only for a length that no PDU can have (below 16) or that is above `max_len` octets; `buffer`
/// stays as it was.
pub fn cut(buffer: &mut BytesMut, max_len: usize) -> Result<Option<Bytes>, FrameError> {
    let whole = whole_len(buffer, max_len)?;
    Ok(whole.map(|len| buffer.split_to(len).freeze()))
}

/// Cuts and decodes in one: takes one whole PDU off the front of `buffer`, or nothing while it has
/// not all come. Only a text or TLVs keep the memory that was read into alive, each as a slice of
/// it; a PDU without them leaves nothing behind. See [`cut`] and [`decode`].
///
/// # Errors
///
/// As [`cut`].
#[inline]
pub fn take(buffer: &mut BytesMut, max_len: usize) -> Result<Option<Inbound>, FrameError> {
    if let Some(header) = take_bare(buffer, max_len) {
        return Ok(Inbound::bare(header));
    }
    let mut place = None;
    if let Some(len) = whole_len(buffer, max_len)? {
        read(Frame::new(buffer, len), &mut place);
    }
    Ok(place)
}

/// [`take`] into a place that many PDUs go through, which saves moving them: `None` where the next
/// one has not all come. What was there before is dropped.
///
/// # Errors
///
/// As [`cut`]; the place stays as it was.
#[inline]
pub fn take_into(
    buffer: &mut BytesMut,
    max_len: usize,
    place: &mut Option<Inbound>,
) -> Result<(), FrameError> {
    if let Some(header) = take_bare(buffer, max_len) {
        put_bare(header, place);
        return Ok(());
    }
    match whole_len(buffer, max_len)? {
        Some(len) => read(Frame::new(buffer, len), place),
        None => *place = None,
    }
    Ok(())
}

/// Takes the PDU at the front of `buffer` where it is a header alone, as keep-alives are: an
/// operation without a body has no fields to read and nothing of the buffer to keep.
#[inline]
fn take_bare(buffer: &mut BytesMut, max_len: usize) -> Option<Header> {
    let (length, header) = Header::split(buffer)?;
    let bare = header.command_id.is_keep_alive() || Body::is_bare(header.command_id);
    if length != BARE_LENGTH || max_len < HEADER_LEN || !bare {
        return None;
    }
    buffer.advance(HEADER_LEN);
    Some(header)
}

/// Puts a PDU without a body into its place. Over one of the same operation, as keep-alives follow
/// each other, nothing is to be dropped.
#[inline]
fn put_bare(header: Header, place: &mut Option<Inbound>) {
    match place {
        Some(Inbound::Pdu(pdu)) if pdu.command_id() == header.command_id => {
            pdu.status = header.status;
            pdu.sequence = header.sequence;
        }
        _ => *place = Inbound::bare(header),
    }
}

/// The length of the PDU at the front of `buffer`, where it has all come.
#[inline]
fn whole_len(buffer: &[u8], max_len: usize) -> Result<Option<usize>, FrameError> {
    let Some(octets) = buffer.first_chunk::<4>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*octets);
    let whole = usize::try_from(length).unwrap_or(usize::MAX);
    if whole < HEADER_LEN {
        return Err(FrameError::TooShort { length });
    }
    if whole > max_len {
        return Err(FrameError::TooLong {
            length,
            max: max_len,
        });
    }
    Ok((buffer.len() >= whole).then_some(whole))
}

/// The header without `command_length`, which the frame itself has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Header {
    /// Which operation.
    pub command_id: CommandId,
    /// In a response, what became of the request; 0 in a request.
    pub status: CommandStatus,
    /// Pairs response with request: 1 to `0x7fff_ffff`, though any number may come.
    pub sequence: u32,
}

impl Header {
    /// The header that a frame begins with; `None` where it is shorter than one.
    #[inline]
    pub(crate) fn read(frame: &[u8]) -> Option<Self> {
        let (_command_length, header) = Self::split(frame)?;
        Some(header)
    }

    /// The `command_length` that a frame begins with, and the header without it.
    #[inline]
    fn split(frame: &[u8]) -> Option<(u32, Self)> {
        let octets = frame.first_chunk::<HEADER_LEN>()?;
        let [command_length, command_id, status, sequence] = octets.as_chunks().0 else {
            return None;
        };
        let header = Self {
            command_id: CommandId(u32::from_be_bytes(*command_id)),
            status: CommandStatus(u32::from_be_bytes(*status)),
            sequence: u32::from_be_bytes(*sequence),
        };
        Some((u32::from_be_bytes(*command_length), header))
    }

    /// Appends the header of a PDU without a body to `out`.
    #[inline]
    pub(crate) fn write(self, out: &mut BytesMut) {
        out.extend_from_slice(&self.octets(HEADER_LEN));
    }

    /// The header of a PDU of this length on the wire.
    #[inline]
    pub(crate) fn octets(self, length: usize) -> [u8; HEADER_LEN] {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        // One number is stored at once.
        [length, self.command_id.0, self.status.0, self.sequence]
            .into_iter()
            .fold(0_u128, |words, word| words << 32 | u128::from(word))
            .to_be_bytes()
    }

    /// The PDU that refuses the one with this header: its response with that status, or a
    /// `generic_nack` where the standard knows no response; `None` where this is a response itself,
    /// which nothing answers. §3.3.
    #[must_use]
    pub fn refusal(&self, status: CommandStatus) -> Option<Pdu> {
        if self.command_id.is_response() {
            return None;
        }
        let body = self
            .command_id
            .response()
            .and_then(Body::empty)
            .unwrap_or(Body::GenericNack);
        Some(Pdu {
            status,
            sequence: self.sequence,
            body,
        })
    }
}

/// One PDU: header and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pdu {
    /// In a response, what became of the request; 0 in a request.
    pub status: CommandStatus,
    /// Pairs response with request.
    pub sequence: u32,
    /// What it says.
    pub body: Body,
}

impl Pdu {
    /// A request, or a response that says OK.
    #[must_use]
    pub const fn new(sequence: u32, body: Body) -> Self {
        Self {
            status: CommandStatus::ESME_ROK,
            sequence,
            body,
        }
    }

    /// Which operation this is.
    #[must_use]
    pub const fn command_id(&self) -> CommandId {
        self.body.command_id()
    }

    /// The header as it goes on the wire.
    #[must_use]
    pub const fn header(&self) -> Header {
        Header {
            command_id: self.command_id(),
            status: self.status,
            sequence: self.sequence,
        }
    }

    /// Appends the PDU to `out`. The body of a bind or `submit_sm` response with an error is left
    /// out when it says nothing, as §4.1.2 and §4.4.2 want.
    #[inline]
    pub fn encode(&self, out: &mut BytesMut) {
        if self.status.is_ok() || !self.says_nothing() {
            Body::write(self, out);
        } else {
            self.header().write(out);
        }
    }

    /// Whether the body may be left out where the status is an error.
    #[cold]
    fn says_nothing(&self) -> bool {
        match &self.body {
            Body::BindReceiverResp(resp)
            | Body::BindTransmitterResp(resp)
            | Body::BindTransceiverResp(resp) => resp.system_id.is_empty() && resp.tlvs.is_empty(),
            Body::SubmitSmResp(resp) => resp.message_id.is_empty() && resp.tlvs.is_empty(),
            _ => false,
        }
    }
}

/// What one frame turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inbound {
    /// A PDU of the standard.
    Pdu(Pdu),
    /// An operation that the standard does not know.
    Unknown {
        /// Its header.
        header: Header,
        /// Its body, unread.
        body: Bytes,
    },
    /// A PDU of the standard whose body is broken.
    Malformed {
        /// Its header; all 0 where the frame was shorter than one.
        header: Header,
        /// What is wrong with it.
        error: DecodeError,
    },
}

/// Reads one frame. Total: whatever the octets, there is a value for them.
///
/// What peers do wrong without doubt about the meaning is taken: any response without a body, a
/// response with an error status and a broken body, a bind response with too long a `system_id`
/// (read as empty), octets behind a body that has no optional parameters, and a missing NUL at the
/// very end. The frame's own length counts, whatever its `command_length` says.
#[must_use]
pub fn decode(mut frame: Bytes) -> Inbound {
    let len = frame.len();
    let mut place = None;
    read(Frame::new(&mut frame, len), &mut place);
    place.unwrap_or_else(headless)
}

/// Reads one frame and drops what no value keeps of it.
#[inline(never)]
fn read(frame: Frame<'_, impl Source>, place: &mut Option<Inbound>) {
    match frame.header() {
        Some(header) => Body::read(header.command_id, frame, place),
        None => *place = Some(headless()),
    }
}

#[cold]
fn headless() -> Inbound {
    let error = DecodeError {
        pdu: "header",
        field: "command_length",
        cause: FieldError::Truncated,
        at: 0,
    };
    Inbound::Malformed {
        header: Header::default(),
        error,
    }
}

impl Inbound {
    #[inline]
    pub(crate) fn pdu(header: Header, body: Body) -> Self {
        Self::Pdu(Pdu {
            status: header.status,
            sequence: header.sequence,
            body,
        })
    }

    /// The PDU of an operation without a body.
    #[inline]
    fn bare(header: Header) -> Option<Self> {
        Body::bare(header.command_id).map(|body| Self::pdu(header, body))
    }

    /// A PDU whose body of `body_len` octets could not be read.
    #[cold]
    pub(crate) fn broken(header: Header, body_len: usize, error: DecodeError) -> Self {
        match empty_response(header, body_len, error) {
            Some(body) => Self::pdu(header, body),
            None => Self::Malformed { header, error },
        }
    }

    pub(crate) fn unknown(mut frame: Frame<'_, impl Source>) -> Self {
        let header = frame.header().unwrap_or_default();
        let input = frame.body();
        let place = Place::at_start_of(input, input.len());
        let mut body = Bytes::new();
        if place.is_kept() {
            frame.split(place, true, &mut body);
        }
        frame.finish();
        Self::Unknown { header, body }
    }
}

/// The body of a response whose octets say nothing that matters: there are none, the status is an
/// error, or it is a bind that was taken by an SMSC with too long a name.
fn empty_response(header: Header, body_len: usize, error: DecodeError) -> Option<Body> {
    let long_name = (error.pdu, error.field) == ("BindResp", "system_id");
    let says_nothing = body_len == 0 || !header.status.is_ok() || long_name;
    if header.command_id.is_response() && says_nothing {
        Body::empty(header.command_id)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        DeliverSm, DestAddress, SubmitMulti, SubmitMultiResp, SubmitSm, SubmitSmResp, UnsuccessSme,
    };

    fn encoded(pdu: &Pdu) -> Bytes {
        let mut out = BytesMut::new();
        pdu.encode(&mut out);
        out.freeze()
    }

    #[test]
    fn frames_are_cut_one_by_one_and_only_when_whole() {
        let enquire_link = encoded(&Pdu::new(7, Body::EnquireLink));
        let mut buffer = BytesMut::new();
        buffer.extend_from_slice(&enquire_link);
        buffer.extend_from_slice(&enquire_link[..15]);
        assert_eq!(cut(&mut buffer, 1024), Ok(Some(enquire_link.clone())));
        assert_eq!(cut(&mut buffer, 1024), Ok(None));
        buffer.extend_from_slice(&enquire_link[15..]);
        assert_eq!(cut(&mut buffer, 1024), Ok(Some(enquire_link)));
        assert!(buffer.is_empty());
    }

    #[test]
    fn an_impossible_length_is_refused_by_the_number_of_the_request_where_it_has_one() {
        let sequence = |length: u32, command_id: u32, octets: usize| {
            let mut buffer = BytesMut::new();
            for word in [length, command_id, 0, 42] {
                buffer.extend_from_slice(&word.to_be_bytes());
            }
            buffer.truncate(octets);
            cut(&mut buffer, 1024).unwrap_err().sequence(&buffer)
        };
        assert_eq!(sequence(1025, 0x0000_0004, 16), 42);
        assert_eq!(sequence(u32::MAX, 0x0000_0015, 16), 42);
        assert_eq!(sequence(1025, 0x0000_0004, 15), 0, "half a header");
        assert_eq!(sequence(15, 0x0000_0004, 16), 0, "too short for a header");
        assert_eq!(sequence(1025, 0x8000_0004, 16), 0, "a response");
        assert_eq!(sequence(0x4854_5450, 0x2f31_2e31, 16), 0, "HTTP/1.1");
    }

    #[test]
    fn room_is_made_for_the_destinations_that_there_are() {
        let multi = |count: usize| SubmitMulti {
            dest_addresses: vec![DestAddress::default(); count].try_into().unwrap(),
            ..SubmitMulti::default()
        };
        let refused = SubmitMultiResp {
            unsuccess_smes: vec![UnsuccessSme::default()].try_into().unwrap(),
            ..SubmitMultiResp::default()
        };
        for (body, most) in [
            (Body::SubmitMulti(multi(1)), 200),
            (Body::SubmitMulti(multi(10)), 400),
            (Body::SubmitMultiResp(refused), 200),
        ] {
            let mut out = BytesMut::new();
            Pdu::new(1, body).encode(&mut out);
            assert!(out.capacity() < most, "{} octets", out.capacity());
        }
    }

    #[test]
    fn a_length_below_a_header_or_above_the_limit_is_an_error() {
        let mut buffer = BytesMut::from(&[0, 0, 0, 15][..]);
        assert_eq!(
            cut(&mut buffer, 1024),
            Err(FrameError::TooShort { length: 15 })
        );
        let mut buffer = BytesMut::from(&[0, 0, 4, 1][..]);
        assert_eq!(
            cut(&mut buffer, 1024),
            Err(FrameError::TooLong {
                length: 1025,
                max: 1024
            })
        );
        let mut buffer = BytesMut::from(&[0, 0, 4, 0][..]);
        assert_eq!(cut(&mut buffer, 1024), Ok(None));
    }

    #[test]
    fn pdus_are_taken_one_by_one_through_one_place() {
        let submit_sm = Pdu::new(7, Body::SubmitSm(SubmitSm::default()));
        let enquire_link = Pdu::new(8, Body::EnquireLink);
        let mut buffer = BytesMut::new();
        submit_sm.encode(&mut buffer);
        enquire_link.encode(&mut buffer);
        let last = buffer.split_off(buffer.len() - 1);
        let mut place = None;
        take_into(&mut buffer, 1024, &mut place).unwrap();
        assert_eq!(place, Some(Inbound::Pdu(submit_sm)));
        take_into(&mut buffer, 1024, &mut place).unwrap();
        assert_eq!(place, None);
        buffer.unsplit(last);
        assert_eq!(
            take_into(&mut buffer, 15, &mut place),
            Err(FrameError::TooLong {
                length: 16,
                max: 15
            })
        );
        assert_eq!(take(&mut buffer, 16), Ok(Some(Inbound::Pdu(enquire_link))));
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_header_alone_reads_in_any_place_as_it_does_alone() {
        let header = |command_id, status, sequence| Header {
            command_id,
            status: CommandStatus(status),
            sequence,
        };
        let mut frames = vec![encoded(&Pdu::new(7, Body::SubmitSm(SubmitSm::default())))];
        for (id, sequence) in CommandId::KNOWN.iter().zip(1..) {
            for status in [0, 8, 0] {
                let octets = header(*id, status, sequence + status).octets(HEADER_LEN);
                frames.push(Bytes::copy_from_slice(&octets));
            }
        }
        let unknown = header(CommandId(0x16), 0, 3).octets(HEADER_LEN);
        frames.push(Bytes::copy_from_slice(&unknown));
        let padded = header(CommandId::ENQUIRE_LINK, 0, 4).octets(HEADER_LEN + 2);
        frames.push(Bytes::from([&padded[..], &[0, 0]].concat()));
        let mut place = None;
        for frame in frames.iter().chain(frames.iter().rev()) {
            let behind = [&frame[..], &frames[1][..9]].concat();
            let mut buffer = BytesMut::from(&behind[..]);
            assert_eq!(take_into(&mut buffer, 1024, &mut place), Ok(()));
            assert_eq!(place, Some(decode(frame.clone())));
            assert_eq!(buffer[..], frames[1][..9]);
            let mut buffer = BytesMut::from(&behind[..]);
            assert_eq!(take(&mut buffer, 1024), Ok(place.clone()));
            assert_eq!(buffer[..], frames[1][..9]);
        }
    }

    #[test]
    fn a_pdu_is_small_enough_to_be_moved() {
        assert!(size_of::<Inbound>() <= 224);
        assert_eq!(size_of::<Option<Inbound>>(), size_of::<Inbound>());
    }

    #[test]
    fn a_frame_shorter_than_a_header_is_malformed() {
        assert!(matches!(
            decode(Bytes::from_static(&[0, 0, 0, 16, 0])),
            Inbound::Malformed {
                header: Header { sequence: 0, .. },
                ..
            }
        ));
    }

    #[test]
    fn every_operation_of_the_standard_round_trips_empty() {
        for id in CommandId::KNOWN {
            let pdu = Pdu::new(0x8000_0000, Body::empty(*id).unwrap());
            assert_eq!(pdu.command_id(), *id);
            assert_eq!(decode(encoded(&pdu)), Inbound::Pdu(pdu));
        }
    }

    #[test]
    fn an_unknown_operation_keeps_its_number_and_body() {
        let frame =
            Bytes::from_static(&[0, 0, 0, 18, 0, 1, 2, 3, 0, 0, 4, 0, 0, 0, 0, 9, 0xde, 0xad]);
        let Inbound::Unknown { header, body } = decode(frame) else {
            panic!("not unknown")
        };
        assert_eq!(header.command_id, CommandId(0x0001_0203));
        assert_eq!(header.status, CommandStatus(0x400));
        assert_eq!(header.sequence, 9);
        assert_eq!(&body[..], [0xde, 0xad]);
    }

    #[test]
    fn an_error_response_needs_no_body_and_may_have_one() {
        let mut refused = Pdu::new(3, Body::SubmitSmResp(SubmitSmResp::default()));
        refused.status = CommandStatus::ESME_RTHROTTLED;
        let bare = encoded(&refused);
        assert_eq!(bare.len(), HEADER_LEN);
        assert_eq!(decode(bare.clone()), Inbound::Pdu(refused.clone()));
        let with_nul = Bytes::from([&bare[..], &[0]].concat());
        assert_eq!(decode(with_nul), Inbound::Pdu(refused.clone()));
        let with_garbage = Bytes::from([&bare[..], &[b'x', 0, 1]].concat());
        assert_eq!(decode(with_garbage), Inbound::Pdu(refused));
    }

    #[test]
    fn a_request_is_refused_by_its_response_or_a_generic_nack() {
        let header = |command_id| Header {
            command_id,
            sequence: 5,
            ..Header::default()
        };
        let status = CommandStatus::ESME_RINVCMDLEN;
        let refusal = header(CommandId::SUBMIT_SM).refusal(status).unwrap();
        assert_eq!(refusal.command_id(), CommandId::SUBMIT_SM_RESP);
        assert_eq!((refusal.sequence, refusal.status), (5, status));
        let nack = header(CommandId(0x7777)).refusal(status).unwrap();
        assert_eq!(nack.command_id(), CommandId::GENERIC_NACK);
        assert_eq!(header(CommandId::SUBMIT_SM_RESP).refusal(status), None);
    }

    #[test]
    fn a_decoded_text_is_a_slice_of_its_frame() {
        let submit_sm = SubmitSm {
            short_message: b"hello"[..].try_into().unwrap(),
            ..SubmitSm::default()
        };
        let frame = encoded(&Pdu::new(1, Body::SubmitSm(submit_sm)));
        let Inbound::Pdu(Pdu {
            body: Body::SubmitSm(decoded),
            ..
        }) = decode(frame.clone())
        else {
            panic!("not a submit_sm")
        };
        assert!(
            frame
                .as_ptr_range()
                .contains(&decoded.short_message.as_ptr())
        );
    }

    #[test]
    fn a_string_without_its_nul_does_not_reach_into_the_next_pdu() {
        let deliver_sm = encoded(&Pdu::new(1, Body::DeliverSm(DeliverSm::default())));
        let mut cut_short = BytesMut::from(&deliver_sm[..HEADER_LEN]);
        cut_short.extend_from_slice(b"CMT");
        let frame = cut_short.freeze();
        let Inbound::Malformed { header, error } = decode(frame) else {
            panic!("not malformed")
        };
        assert_eq!(header.sequence, 1);
        assert_eq!(error.field, "source_addr_ton");
        assert_eq!(error.cause, FieldError::Truncated);
    }
}
