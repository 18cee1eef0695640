//! Mistakes in `[[route]]`.

use super::each_is_said;

#[test]
fn no_two_routes_share_a_prefix_or_a_name() {
    each_is_said(&[
        (
            r#"prefixes = ["44"]"#,
            r#"prefixes = ["447"]"#,
            "line 32: route[1].prefixes[1]: the prefix is in use since line 26; give another",
        ),
        (
            r#"[[route]]
name = "world""#,
            r#"[[route]]
name = "uk""#,
            "line 31: route[1].name: the name is in use since line 25; give another",
        ),
    ]);
}

#[test]
fn a_prefix_is_the_first_digits() {
    each_is_said(&[
        (
            r#"prefixes = ["44"]"#,
            "prefixes = []",
            r#"line 26: route[0].prefixes: is empty; write e.g. ["44"], or [""] for every number"#,
        ),
        (
            r#"prefixes = ["44"]"#,
            r#"prefixes = ["+44"]"#,
            r#"line 26: route[0].prefixes[0]: does not begin a number; write the first digits in quotes, e.g. "44", or "" for every number"#,
        ),
    ]);
}

#[test]
fn what_a_route_names_exists() {
    each_is_said(&[
        (
            r#"prefixes = ["44"]
link_group = "operator""#,
            r#"prefixes = ["44"]
link_group = "opertor""#,
            "line 27: route[0].link_group: there is no link_group `opertor`; write one of `operator`, or add it",
        ),
        (
            r#"originator = { pool = "uk" }"#,
            r#"originator = { pool = "de" }"#,
            "line 28: route[0].originator.pool: there is no pool `de`; write one of `uk`, or add it",
        ),
    ]);
}

#[test]
fn an_originator_is_a_pool_or_a_shortcode() {
    each_is_said(&[
        (
            r#"originator = { pool = "uk" }"#,
            "originator = { }",
            r#"line 28: route[0].originator: must name one of the two; write { pool = "uk" } or { shortcode = "12345" }"#,
        ),
        (
            r#"originator = { pool = "uk" }"#,
            r#"originator = { pool = "uk", shortcode = "123" }"#,
            r#"line 28: route[0].originator: must name one of the two; write { pool = "uk" } or { shortcode = "12345" }"#,
        ),
        (
            r#"originator = { pool = "uk" }"#,
            r#"originator = { pol = "uk" }"#,
            r#"line 28: route[0].originator: must name one of the two; write { pool = "uk" } or { shortcode = "12345" }
line 28: route[0].originator.pol: is not a known key; did you mean `pool`?"#,
        ),
        (
            r#"originator = { pool = "uk" }"#,
            r#"originator = "uk""#,
            r#"line 28: route[0].originator: is a text; write { pool = "uk" } or { shortcode = "12345" }"#,
        ),
    ]);
}

#[test]
fn a_price_is_an_exact_amount() {
    each_is_said(&[
        (
            r#"price = "0.045""#,
            "price = 0.045",
            r#"line 29: route[0].price: is a number with a fraction; write the amount in quotes, e.g. "0.045" (a float is not exact)"#,
        ),
        (
            r#"price = "0.045""#,
            r#"price = "0.0451234""#,
            r#"line 29: route[0].price: `0.0451234` has more than 6 decimals; round it to micro-units, e.g. "0.045001""#,
        ),
        (
            r#"price = "0.045""#,
            r#"price = "4,5""#,
            r#"line 29: route[0].price: `4,5` is not an amount; write digits with at most one point, e.g. "0.045""#,
        ),
        (
            r#"price = "0.045""#,
            r#"price = "-1""#,
            "line 29: route[0].price: is -1; write 0 or more",
        ),
        (
            r#"price = "0.045""#,
            r#"price = "9000000001""#,
            "line 29: route[0].price: `9000000001` is too large; the most is 9000000000",
        ),
    ]);
}

#[test]
fn a_switch_is_not_in_quotes_and_a_choice_is_a_known_word() {
    each_is_said(&[
        (
            r#"price = "0.045""#,
            r#"price = "0.045"
receipts = "yes""#,
            "line 30: route[0].receipts: is a text; write true or false, without quotes",
        ),
        (
            r#"price = "0.045""#,
            r#"price = "0.045"
long_messages = "16""#,
            "line 30: route[0].long_messages: `16` is not known; write \"udh8\" or \"udh16\" or \"sar\" or \"payload\"",
        ),
        (
            r#"price = "0.045""#,
            r#"price = "0.045"
alphabets = []"#,
            "line 30: route[0].alphabets: is empty; write e.g. [\"gsm7\", \"ucs2\"]",
        ),
    ]);
}
