//! One commit as it stands in a log: a head, then its writes, table by table. All numbers are
//! little-endian.
//!
//! ```text
//! head   checksum u64 · octets after the head u64 · number of the commit u64 · life of the store u128
//! table  length of its name u8 · name · rows u32
//! row    length of its key u32 · key · length of its value u32, or 2³²-1 for none · value
//! ```
//!
//! The checksum is XXH3 of all that follows it, seeded with the life: what others can have written into a
//! value never passes for a record.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::store::base::Write;
use crate::store::tables::TableId;
use crate::store::{Result, StoreError};

/// Octets of the head.
pub(super) const HEAD: usize = 40;
/// The length of a value that is none.
const NONE: u32 = u32::MAX;

/// What begins a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    checksum: u64,
    /// Octets after the head.
    pub(super) length: u64,
    /// The number of the commit: one more than the one before it.
    pub(super) number: u64,
    /// Of which life of which store.
    pub(super) life: u128,
}

/// A row in a record.
#[derive(Debug, Clone)]
pub(super) struct RowAt {
    pub(super) table: TableId,
    pub(super) key: Arc<str>,
    /// `None` where it is deleted.
    pub(super) value: Option<Span>,
}

/// Where a value stands in its record, from the record's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) at: u32,
    pub(super) length: u32,
}

impl Span {
    /// The value in this record.
    pub(super) fn of(self, record: &[u8]) -> &[u8] {
        let at = usize::try_from(self.at).unwrap_or(usize::MAX);
        let length = usize::try_from(self.length).unwrap_or(usize::MAX);
        record
            .get(at..at.saturating_add(length))
            .unwrap_or_default()
    }
}

impl Head {
    /// Reads one. What it says is to be trusted after [`is_whole`](Self::is_whole) only.
    pub(super) fn read(octets: &[u8; HEAD]) -> Self {
        let mut rest = &octets[..];
        Self {
            checksum: u64::from_le_bytes(take(&mut rest)),
            length: u64::from_le_bytes(take(&mut rest)),
            number: u64::from_le_bytes(take(&mut rest)),
            life: u128::from_le_bytes(take(&mut rest)),
        }
    }

    /// Whether a record that begins with this head is as it was written.
    pub(super) fn is_whole(&self, record: &[u8]) -> bool {
        self.checksum == checksum(self.life, record)
    }
}

/// The next octets of a head, which is long enough.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (first, after) = rest.split_first_chunk().unwrap_or((&[0; N], &[]));
    *rest = after;
    *first
}

fn checksum(life: u128, record: &[u8]) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the seed is the lower half"
    )]
    let seed = life as u64;
    xxh3_64_with_seed(record.get(8..).unwrap_or_default(), seed)
}

/// Writes a record; gives where each write stands in it, in their order.
///
/// Fails with [`StoreError::Unavailable`] where it would be 4 GiB or more.
pub(super) fn write(
    life: u128,
    number: u64,
    writes: &[Write],
) -> Result<(Vec<u8>, Vec<Option<Span>>)> {
    let octets = |write: &Write| write.key.len() + write.value.as_ref().map_or(0, Vec::len) + 8;
    let size: usize = writes.iter().map(octets).sum();
    let mut record = Vec::with_capacity(HEAD + size + 64 * TableId::ALL.len());
    record.resize(HEAD, 0);
    let mut spans = Vec::with_capacity(writes.len());
    for writes in writes.chunk_by(|one, next| one.table == next.table) {
        let Some(first) = writes.first() else {
            continue;
        };
        let name = first.table.kind().name;
        record.push(u8::try_from(name.len()).map_err(|_| too_long())?);
        record.extend_from_slice(name.as_bytes());
        record.extend_from_slice(&small(writes.len())?.to_le_bytes());
        for write in writes {
            spans.push(write_row(&mut record, write)?);
        }
    }
    finish(&mut record, life, number);
    Ok((record, spans))
}

fn write_row(record: &mut Vec<u8>, write: &Write) -> Result<Option<Span>> {
    record.extend_from_slice(&small(write.key.len())?.to_le_bytes());
    record.extend_from_slice(write.key.as_bytes());
    let Some(value) = &write.value else {
        record.extend_from_slice(&NONE.to_le_bytes());
        return Ok(None);
    };
    let length = small(value.len())?;
    record.extend_from_slice(&length.to_le_bytes());
    let at = small(record.len())?;
    record.extend_from_slice(value);
    Ok(Some(Span { at, length }))
}

/// Fills in the head.
fn finish(record: &mut [u8], life: u128, number: u64) {
    let length = u64::try_from(record.len().saturating_sub(HEAD)).unwrap_or(u64::MAX);
    let mut head = Vec::with_capacity(HEAD);
    head.extend_from_slice(&[0; 8]);
    head.extend_from_slice(&length.to_le_bytes());
    head.extend_from_slice(&number.to_le_bytes());
    head.extend_from_slice(&life.to_le_bytes());
    let mut put = |octets: &[u8]| {
        let places = record.iter_mut().zip(octets);
        places.for_each(|(place, octet)| *place = *octet);
    };
    put(&head);
    let checksum = checksum(life, record);
    let places = record.iter_mut().zip(checksum.to_le_bytes());
    places.for_each(|(place, octet)| *place = octet);
}

fn small(length: usize) -> Result<u32> {
    u32::try_from(length)
        .ok()
        .filter(|length| *length != NONE)
        .ok_or_else(too_long)
}

fn too_long() -> StoreError {
    StoreError::Unavailable("a commit is too long for the log".to_owned())
}

/// The rows of a whole record.
///
/// Fails with [`StoreError::Conflict`] where it names a table that this version does not know, and with
/// [`StoreError::Corrupt`] where it makes no sense.
pub(super) fn rows(record: &[u8]) -> Result<Vec<RowAt>> {
    let mut reader = Reader { record, at: HEAD };
    let mut rows = Vec::new();
    while reader.at < record.len() {
        let length = usize::from(reader.number::<1, u8>(u8::from_le_bytes)?);
        let name = reader.text(length)?;
        let known = TableId::ALL.iter().find(|table| table.kind().name == name);
        let table = *known.ok_or_else(|| {
            let reason = format!("the log names a table {name}, which this version does not know");
            StoreError::Conflict(reason)
        })?;
        for _ in 0..reader.number(u32::from_le_bytes)? {
            rows.push(reader.row(table)?);
        }
    }
    Ok(rows)
}

struct Reader<'a> {
    record: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn octets(&mut self, length: usize) -> Result<&'a [u8]> {
        let end = self.at.saturating_add(length);
        let octets = self.record.get(self.at..end).ok_or_else(senseless)?;
        self.at = end;
        Ok(octets)
    }

    fn number<const N: usize, T>(&mut self, read: fn([u8; N]) -> T) -> Result<T> {
        let octets = self.octets(N)?;
        Ok(read(octets.try_into().map_err(|_| senseless())?))
    }

    fn length(&mut self) -> Result<usize> {
        let length = self.number(u32::from_le_bytes)?;
        usize::try_from(length).map_err(|_| senseless())
    }

    fn text(&mut self, length: usize) -> Result<&'a str> {
        str::from_utf8(self.octets(length)?).map_err(|_| senseless())
    }

    fn row(&mut self, table: TableId) -> Result<RowAt> {
        let length = self.length()?;
        let key: Arc<str> = self.text(length)?.into();
        let length = self.number(u32::from_le_bytes)?;
        if length == NONE {
            let value = None;
            return Ok(RowAt { table, key, value });
        }
        let at = small(self.at)?;
        self.octets(usize::try_from(length).map_err(|_| senseless())?)?;
        let value = Some(Span { at, length });
        Ok(RowAt { table, key, value })
    }
}

fn senseless() -> StoreError {
    StoreError::Corrupt("a record of the log".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writes() -> Vec<Write> {
        let row = |table, key: &str, value: Option<&[u8]>| Write {
            table,
            key: key.into(),
            value: value.map(<[u8]>::to_vec),
        };
        vec![
            row(TableId::Meta, "a", Some(b"1")),
            row(TableId::Meta, "gone", None),
            row(TableId::Timers, "t", Some(b"")),
        ]
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let (record, spans) = write(7, 3, &writes()).unwrap();
        let head = Head::read(record[..HEAD].try_into().unwrap());
        assert!(head.is_whole(&record));
        let length = u64::try_from(record.len() - HEAD).unwrap();
        assert_eq!((head.life, head.number, head.length), (7, 3, length));
        let rows = rows(&record).unwrap();
        assert_eq!(rows.len(), writes().len());
        for ((row, span), write) in rows.iter().zip(spans).zip(writes()) {
            assert_eq!((row.table, &row.key), (write.table, &write.key));
            assert_eq!(row.value, span);
            let value = row.value.map(|span| span.of(&record).to_vec());
            assert_eq!(value, write.value);
        }
    }

    #[test]
    fn what_is_short_of_a_record_is_an_error() {
        let (record, _) = write(7, 3, &writes()).unwrap();
        let whole = |cut| rows(&record[..cut]).is_ok_and(|rows| rows.len() == writes().len());
        assert!(whole(record.len()));
        assert!(!(HEAD..record.len()).any(whole));
        // A length that points far behind the end.
        let mut wrong = record.clone();
        wrong[HEAD + 5..HEAD + 9].fill(0xff);
        assert!(matches!(rows(&wrong), Err(StoreError::Corrupt(_))));
    }

    #[test]
    fn a_table_that_is_not_known_is_refused_by_its_name() {
        let (mut record, _) = write(7, 3, &writes()).unwrap();
        record[HEAD + 1..HEAD + 5].copy_from_slice(b"newt");
        let error = rows(&record).unwrap_err();
        assert!(matches!(&error, StoreError::Conflict(_)), "{error}");
        assert!(error.to_string().contains("newt"), "{error}");
    }
}
