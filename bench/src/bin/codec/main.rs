//! Decodes and encodes the same PDUs with this project's codec, with hand-written bounds and with
//! three other crates, side by side; prints a table.
//!
//! Decoding is from a stream in a buffer to a value that owns what it says, framing and drop
//! included. Encoding is from a value to the end of a buffer that is used again and again. With an
//! argument only the rows that contain it are measured, and their bounds.

mod contestants {
    pub mod ours;
    pub mod rusmpp;
    pub mod smpp34;
    pub mod smpp_codec;
}

use std::hint::black_box;

use bytes::{Buf, BytesMut};
use matrix_smpp_bench::bound;
use matrix_smpp_bench::rounds::{self, Contestant, Lap, Outcome, Summary, lap};
use matrix_smpp_bench::samples::{self, Sample};
use matrix_smpp_codec::take;

use ::rusmpp::tokio_codec::CommandCodec;
use contestants::{ours, rusmpp, smpp_codec, smpp34};

const ROUNDS: usize = 101;
const LAPS: usize = 5;
/// A lap decodes about this many octets, which fit into the cache.
const STREAM: usize = 64 * 1024;

fn main() {
    let samples: Vec<Stream> = samples::all().into_iter().map(Stream::of).collect();
    let mut contestants = Vec::new();
    for stream in &samples {
        decoders(stream, &mut contestants);
        encoders(stream, &mut contestants);
    }
    if let Some(word) = std::env::args().nth(1) {
        let asked = |one: &Contestant<'_>| format!("{} | {}", one.group, one.name).contains(&word);
        let groups: Vec<String> = contestants
            .iter()
            .filter(|one| asked(one))
            .map(|one| one.group.clone())
            .collect();
        contestants.retain(|one| asked(one) || one.bound && groups.contains(&one.group));
    }
    let allocations: Vec<f64> = contestants.iter_mut().map(allocations).collect();
    let outcomes = rounds::run(&mut contestants, ROUNDS, LAPS);
    print(&contestants, &outcomes, &allocations);
}

/// A sample, repeated until it is a stream.
struct Stream {
    name: &'static str,
    pdus: Vec<Vec<u8>>,
    octets: Vec<u8>,
    count: u32,
}

impl Stream {
    fn of(sample: Sample) -> Self {
        let once = sample.pdus.concat();
        let times = (STREAM / once.len()).clamp(1, 512);
        Self {
            name: sample.name,
            count: u32::try_from(times * sample.pdus.len()).expect("few"),
            octets: once.repeat(times),
            pdus: sample.pdus,
        }
    }
}

fn decoders<'a>(stream: &'a Stream, to: &mut Vec<Contestant<'a>>) {
    let mut add = adder(format!("{} | decode", stream.name), to);
    let mut places = bound::Places::default();
    add(
        "bound: offsets, borrowed",
        from_buffer(stream, move |buffer| {
            bound::borrowed(buffer, &mut places).expect("well formed");
            black_box(&places);
        }),
    );
    let mut place = bound::Owned::default();
    add(
        BOUNDS[0],
        from_buffer(stream, move |buffer| {
            bound::owned(buffer, &mut place).expect("well formed");
            black_box(&place);
        }),
    );
    let mut place = None;
    add(
        "matrix-smpp",
        from_buffer(stream, move |buffer| {
            ours::decode(buffer, &mut place);
            black_box(&place);
        }),
    );
    add(
        "matrix-smpp, moved",
        from_buffer(stream, |buffer| {
            black_box(&take(buffer, 65_536));
        }),
    );
    add("smpp34 1.5.1", from_slices(stream, smpp34::decode));
    let mut codec = CommandCodec::new();
    add(
        "rusmpp 0.4.0",
        from_buffer(stream, move |buffer| {
            black_box(&rusmpp::decode(&mut codec, buffer));
        }),
    );
    add("smpp-codec 0.2.1", from_slices(stream, smpp_codec::decode));
}

/// The rows that the others are compared with.
const BOUNDS: [&str; 2] = ["bound: one Bytes and offsets", "bound: cursor over a slice"];

/// One more way to do the same.
type Run<'a> = Box<dyn FnMut() -> Lap + 'a>;

fn adder<'a, 'b>(
    group: String,
    to: &'b mut Vec<Contestant<'a>>,
) -> impl FnMut(&'static str, Run<'a>) + use<'a, 'b> {
    move |name, run| {
        to.push(Contestant {
            group: group.clone(),
            name,
            bound: BOUNDS.contains(&name),
            run,
        });
    }
}

/// Decodes a stream PDU by PDU off the front of a `BytesMut`.
fn from_buffer<'a>(stream: &'a Stream, mut one: impl FnMut(&mut BytesMut) + 'a) -> Run<'a> {
    let mut buffer = BytesMut::new();
    Box::new(move || {
        buffer.clear();
        buffer.extend_from_slice(&stream.octets);
        lap(stream.count, || {
            while !buffer.is_empty() {
                one(&mut buffer);
            }
        })
    })
}

/// The same for crates that want one whole PDU as a slice. Cutting it off the stream is theirs to
/// pay for as well: the length is at least a header's, at most the limit, and has all come.
fn from_slices<'a>(stream: &'a Stream, mut one: impl FnMut(&[u8]) + 'a) -> Run<'a> {
    from_buffer(stream, move |buffer| {
        let length = bound::length(buffer).expect("a whole PDU");
        one(buffer.get(..length).expect("a whole PDU"));
        buffer.advance(length);
    })
}

fn encoders<'a>(stream: &'a Stream, to: &mut Vec<Contestant<'a>>) {
    let mut add = adder(format!("{} | encode", stream.name), to);
    let frames = stream.pdus.iter();
    let pdus = frames
        .map(|frame| bound::Fields::of(frame).expect("whole"))
        .collect();
    let mut room = vec![0; 4096];
    add(
        BOUNDS[1],
        over(stream, pdus, move |pdu| {
            black_box(bound::encode(pdu, &mut room));
            black_box(&mut room);
        }),
    );
    let mut out = BytesMut::new();
    add(
        "matrix-smpp",
        over(stream, values(stream, ours::pdu), move |pdu| {
            out.clear();
            pdu.encode(&mut out);
            black_box(&mut out);
        }),
    );
    add("smpp34 1.5.1", smpp34_encode(stream));
    let mut codec = CommandCodec::new();
    let pdus = values(stream, |mut wire| rusmpp::pdu(&mut codec, &mut wire));
    let mut out = BytesMut::new();
    add(
        "rusmpp 0.4.0",
        over(stream, pdus, move |pdu| {
            out.clear();
            rusmpp::encode(&mut codec, pdu, &mut out);
            black_box(&mut out);
        }),
    );
    let pdus = values(stream, |wire| smpp_codec::pdu(&wire));
    let mut out = Vec::new();
    add(
        "smpp-codec 0.2.1",
        over(stream, pdus, move |pdu| {
            out.clear();
            smpp_codec::encode(pdu, &mut out);
            black_box(&mut out);
        }),
    );
}

/// The PDUs of a stream as one contestant has them.
fn values<T>(stream: &Stream, one: impl FnMut(BytesMut) -> T) -> Vec<T> {
    let pdus = stream.pdus.iter();
    pdus.map(|pdu| BytesMut::from(&pdu[..])).map(one).collect()
}

/// Does one PDU after the other, as often as the stream has them.
fn over<'a, T: 'a>(stream: &Stream, pdus: Vec<T>, mut one: impl FnMut(&T) + 'a) -> Run<'a> {
    let count = stream.count;
    let times = count as usize / pdus.len();
    Box::new(move || {
        lap(count, || {
            for _ in 0..times {
                for pdu in &pdus {
                    one(black_box(pdu));
                }
            }
        })
    })
}

/// Encoding takes the value; the clones are made before the clock runs.
fn smpp34_encode(stream: &Stream) -> Run<'_> {
    let pdus = values(stream, |wire| smpp34::pdu(&wire));
    let times = stream.count as usize / pdus.len();
    Box::new(move || {
        let mut clones = Vec::new();
        allocation_counter::opt_out(|| {
            clones.extend((0..times).flat_map(|_| pdus.iter().cloned()));
        });
        lap(stream.count, || {
            for pdu in clones {
                black_box(smpp34::encode(pdu));
            }
        })
    })
}

/// Allocations per PDU, of a run that is not timed.
fn allocations(contestant: &mut Contestant<'_>) -> f64 {
    let mut pdus = 1;
    (contestant.run)();
    let counted = allocation_counter::measure(|| pdus = (contestant.run)().pdus);
    counted.count_total as f64 / f64::from(pdus)
}

fn print(contestants: &[Contestant<'_>], outcomes: &[Outcome], allocations: &[f64]) {
    println!("| pdu | op | implementation | ns, median [min..max] | allocations | to the bound |");
    println!("|---|---|---|---|---|---|");
    for ((contestant, outcome), allocations) in contestants.iter().zip(outcomes).zip(allocations) {
        let Summary { median, min, max } = outcome.time;
        println!(
            "| {} | {} | {median:.1} [{min:.1}..{max:.1}] | {allocations:.2} | {:.2} |",
            contestant.group, contestant.name, outcome.to_bound.median,
        );
    }
}
