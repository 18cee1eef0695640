//! Each kind of mistake, with the exact words that are said about it.

mod accounts;
mod file;
mod gateway;
mod homeserver;
mod links;
mod numbers;
mod routes;

use crate::world::{World, changed, load};

/// What is said about a text, without the file's name in front of each line.
fn said(text: &str) -> String {
    let mistakes = load(text, &World::new())
        .expect_err("there is a mistake")
        .to_string();
    let lines = mistakes.lines().map(|line| {
        line.strip_prefix("/etc/gw/config.toml: ")
            .expect("the file's name is on each line")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Changes one place of the base at a time and compares what is said about it: (from, to, said).
fn each_is_said(cases: &[(&str, &str, &str)]) {
    for (from, to, expected) in cases {
        assert_eq!(
            said(&changed(from, to)),
            *expected,
            "{from:?} changed to {to:?}"
        );
    }
}

#[test]
fn ten_mistakes_are_told_at_once_in_the_order_of_their_lines() {
    let text = r#"[gateway]
name = "my gateway"
drain_timeout = 20
colour = "red"
[ops]
listen = "127.0.0.1"
[[homeserver]]
name = "example.org"
url = "http://127.0.0.1:8008"
as_token = "as-1"
[[link_group]]
name = "operator"
[[link_group.link]]
name = "a"
address = "smsc"
system_id = "smsgw"
password = "far too long"
[[pool]]
name = "uk"
numbers = ["+447700900900"]
[[route]]
name = "uk"
prefixes = ["44"]
link_group = "oprator"
originator = { pool = "uk" }
price = 0.045
"#;
    let expected = r#"line 2: gateway.name: `my gateway` is not a name; write 1 to 64 letters, digits, `-`, `_` or `.`
line 3: gateway.drain_timeout: is a whole number; write a time with its unit, e.g. "10s", "5m", "24h" or "30d"
line 4: gateway.colour: is not a known key; remove it, or use one of `name`, `public_name`, `data_dir`, `admin_socket`, `ghost_prefix`, `currency`, `check_marks`, `drain_timeout`
line 6: ops.listen: `127.0.0.1` does not fit; write an IP address and a port, e.g. "127.0.0.1:29300"
line 7: homeserver[0].hs_token: is missing; write one of `hs_token`, `hs_token_file` and `hs_token_credential`
line 15: link_group[0].link[0].address: `smsc` has no port; write host:port, e.g. "127.0.0.1:2775"
line 17: link_group[0].link[0].password: is too long; SMPP carries 8 characters at most here
line 20: pool[0].numbers[0]: is not a number of digits only; write a number "447700900900" or a range "447700900901-447700900950"
line 24: route[0].link_group: there is no link_group `oprator`; write one of `operator`, or add it
line 26: route[0].price: is a number with a fraction; write the amount in quotes, e.g. "0.045" (a float is not exact)"#;
    assert_eq!(said(text), expected);
    assert_eq!(expected.lines().count(), 10);
}

#[test]
fn an_empty_file_lacks_a_homeserver() {
    let expected =
        "line 1: homeserver: is missing; add a [[homeserver]] with its name, url and tokens";
    assert_eq!(said(""), expected);
}

#[test]
fn no_secret_and_no_full_number_is_said() {
    let text = changed("as_token = \"as-1\"", "as_token = hunter2");
    assert!(!said(&text).contains("hunter2"));
    let text = changed("as_token = \"as-1\"", "as_token = \"hunter2");
    assert!(!said(&text).contains("hunter2"));
    let text = changed("as_token = \"as-1\"", "as_token = \"hs-1\"");
    assert!(!said(&text).contains("hs-1"));
    let text = changed("number = \"447700900999\"", "number = \"447700900915\"");
    assert!(!said(&text).contains("447700900915"));
}
