//! `[[pool]]` and `[[dedicated]]`: the operator's own numbers.

use std::time::Duration;

use ruma::OwnedUserId;

use crate::check::{label, lasts};
use crate::number::{Numbers, OwnNumber, pool_size};
use crate::read::{Context, Reader};
use crate::section::{Section, section};

section! {
    /// VMNs that conversations lease. Repeat it for each pool.
    pub struct Pool, raw RawPool {
        /// The name that routes use. 1 to 64 letters, digits, `-`, `_` or `.`.
        name: String = required("\"uk\""), check label;
        /// Its numbers, digits only: single ones, and ranges from the first to the last.
        /// No number is in two pools. At most 1000000.
        numbers: Numbers = required("[\"447700900900\", \"447700900901-447700900950\"]"), check pool_size;
        /// How long a number rests after a conversation before the same handset may see it in
        /// another one. 0s to 3650d.
        cooling_off: Duration = default("\"30d\""), check lasts("0s", "3650d");
    }
}

section! {
    /// A number that belongs to one Matrix user: any handset may text it first.
    pub struct Dedicated, raw RawDedicated {
        /// The VMN or shortcode, 3 to 15 digits. It is in no pool.
        number: OwnNumber = required("\"447700900999\"");
        /// The Matrix user whom it belongs to.
        owner: OwnedUserId = required("\"@alice:example.org\"");
    }
}

/// Reads every `[[pool]]`; no two share a name or a number. Gives the names too.
pub(crate) fn read_pools(root: &Reader<'_>) -> (Option<Vec<Pool>>, Vec<RawPool>) {
    let tables = root.tables_at("pool");
    let raws: Vec<RawPool> = tables.iter().map(Reader::section).collect();
    let names = raws.iter().zip(&tables);
    let names = names.filter_map(|(raw, table)| Some((raw.name.clone()?, table.path_of("name"))));
    root.cx.unique("the name", &names.collect::<Vec<_>>());
    check_overlaps(root.cx, &raws);
    (raws.iter().cloned().map(Section::checked).collect(), raws)
}

/// Reports each range that shares a number with another one.
fn check_overlaps(cx: &Context<'_>, pools: &[RawPool]) {
    let mut ranges: Vec<((u64, u64), String)> = Vec::new();
    for (at, pool) in pools.iter().enumerate() {
        for (index, range) in pool
            .numbers
            .iter()
            .flat_map(|numbers| &numbers.ranges)
            .enumerate()
        {
            ranges.push((range.bounds(), format!("pool[{at}].numbers[{index}]")));
        }
    }
    ranges.sort();
    let mut highest: Option<(u64, &str)> = None;
    for ((first, last), path) in &ranges {
        if let Some((taken, other)) = highest.filter(|(taken, _)| first <= taken) {
            report_overlap(cx, path, other);
            highest = Some((taken.max(*last), if taken < *last { path } else { other }));
        } else {
            highest = Some((*last, path));
        }
    }
}

/// The mistake is at the later of the two lines.
fn report_overlap(cx: &Context<'_>, one: &str, other: &str) {
    let (early, late) = if cx.line_of(one) < cx.line_of(other) {
        (one, other)
    } else {
        (other, one)
    };
    let line = cx.line_of(early);
    cx.wrong(
        late,
        format!("has a number that {early} (line {line}) has too; keep it in one"),
    );
}

/// Reads every `[[dedicated]]`; no number is there twice, or in a pool.
pub(crate) fn read_dedicated(root: &Reader<'_>, pools: &[RawPool]) -> Option<Vec<Dedicated>> {
    let tables = root.tables_at("dedicated");
    let raws: Vec<RawDedicated> = tables.iter().map(Reader::section).collect();
    let numbers = raws
        .iter()
        .zip(&tables)
        .filter_map(|(raw, table)| Some((raw.number.clone()?, table.path_of("number"))));
    let numbers: Vec<_> = numbers.collect();
    root.cx.unique("the number", &numbers);
    for (number, path) in &numbers {
        check_not_pooled(root.cx, number, path, pools);
    }
    raws.into_iter().map(Section::checked).collect()
}

fn check_not_pooled(cx: &Context<'_>, number: &OwnNumber, path: &str, pools: &[RawPool]) {
    let Ok(number) = number.as_str().parse() else {
        return;
    };
    let holds = |pool: &RawPool| {
        pool.numbers
            .as_ref()
            .is_some_and(|all| all.contains(&number))
    };
    if let Some(at) = pools.iter().position(holds) {
        let line = cx.line_of(&format!("pool[{at}].numbers"));
        cx.wrong(
            path,
            format!("is in pool[{at}] (line {line}) too; take it out of one"),
        );
    }
}
