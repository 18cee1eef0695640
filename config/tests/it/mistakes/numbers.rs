//! Mistakes in `[[pool]]` and `[[dedicated]]`.

use super::each_is_said;
use crate::world::{World, changed, load};

#[test]
fn a_pool_is_a_list_of_some_numbers_and_not_of_too_many() {
    each_is_said(&[
        (
            r#"numbers = ["447700900900", "447700900910-447700900919"]"#,
            "numbers = []",
            "line 23: pool[0].numbers: is empty; write at least one number",
        ),
        (
            r#"numbers = ["447700900900", "447700900910-447700900919"]"#,
            r#"numbers = "447700900900""#,
            "line 23: pool[0].numbers: is a text; write a list in brackets",
        ),
        (
            r#"numbers = ["447700900900", "447700900910-447700900919"]"#,
            r#"numbers = ["447700900900-447701900900"]"#,
            "line 23: pool[0].numbers: has 1000001 numbers; split the pool, the most is 1000000",
        ),
    ]);
}

#[test]
fn an_entry_of_a_pool_is_a_number_or_a_range() {
    each_is_said(&[
        (
            r#"numbers = ["447700900900", "447700900910-447700900919"]"#,
            r#"numbers = [
"447700900900",
"+447700900901"]"#,
            r#"line 25: pool[0].numbers[1]: is not a number of digits only; write a number "447700900900" or a range "447700900901-447700900950""#,
        ),
        (
            r#"numbers = ["447700900900", "447700900910-447700900919"]"#,
            r#"numbers = ["447700900919-447700900910"]"#,
            "line 23: pool[0].numbers[0]: is not a range; write the lower number first, both with as many digits",
        ),
    ]);
}

#[test]
fn no_number_is_in_a_pool_twice_or_in_two_pools() {
    each_is_said(&[
        (
            r#"numbers = ["447700900900", "447700900910-447700900919"]"#,
            r#"numbers = ["447700900900-447700900910",
"447700900905"]"#,
            "line 24: pool[0].numbers[1]: has a number that pool[0].numbers[0] (line 23) has too; keep it in one",
        ),
        (
            r#"[[pool]]
name = "uk""#,
            r#"[[pool]]
name = "uk"
numbers = ["447700900900"]
[[pool]]
name = "uk""#,
            "line 25: pool[1].name: the name is in use since line 22; give another\nline 26: pool[1].numbers[0]: has a number that pool[0].numbers[0] (line 23) has too; keep it in one",
        ),
    ]);
}

#[test]
fn a_dedicated_number_is_here_once_and_in_no_pool() {
    each_is_said(&[
        (
            r#"number = "447700900999""#,
            r#"number = "447700900915""#,
            "line 37: dedicated[0].number: is in pool[0] (line 23) too; take it out of one",
        ),
        (
            r#"number = "447700900999"
"#,
            r#"number = "447700900999"
owner = "@bob:example.org"
[[dedicated]]
number = "447700900999"
"#,
            "line 40: dedicated[1].number: the number is in use since line 37; give another",
        ),
    ]);
}

#[test]
fn a_dedicated_number_is_of_digits_and_its_owner_a_matrix_id() {
    each_is_said(&[
        (
            r#"number = "447700900999""#,
            r#"number = "+447700900999""#,
            r#"line 37: dedicated[0].number: is not a number of 3 to 15 digits; write its digits in quotes, e.g. "447700900999" or "12345""#,
        ),
        (
            r#"owner = "@alice:example.org""#,
            r#"owner = "alice""#,
            r#"line 38: dedicated[0].owner: `alice` does not fit; write a full Matrix ID, e.g. "@alice:example.org""#,
        ),
    ]);
}

#[test]
fn an_overlap_is_told_at_the_later_line_whichever_number_is_lower() {
    each_is_said(&[
        (
            r#"numbers = ["447700900900", "447700900910-447700900919"]"#,
            r#"numbers = [
"447700900905",
"447700900900-447700900910"]"#,
            "line 25: pool[0].numbers[1]: has a number that pool[0].numbers[0] (line 24) has too; keep it in one",
        ),
        (
            r#"numbers = ["447700900900", "447700900910-447700900919"]"#,
            r#"numbers = ["447700900900-447700900990",
"447700900905",
"447700900980"]"#,
            "line 24: pool[0].numbers[1]: has a number that pool[0].numbers[0] (line 23) has too; keep it in one
line 25: pool[0].numbers[2]: has a number that pool[0].numbers[0] (line 23) has too; keep it in one",
        ),
    ]);
}

#[test]
fn a_dedicated_number_belongs_to_a_person() {
    let expected =
        "line 38: dedicated[0].owner: is a Matrix ID of the gateway's own; write that of a person";
    for owner in ["@.tel.447700900123:example.org", "@.tel.bot:example.org"] {
        each_is_said(&[("@alice:example.org", owner, expected)]);
    }
    load(
        &changed("@alice:example.org", "@.tel.447700900123:elsewhere.example"),
        &World::new(),
    )
    .unwrap();
}
