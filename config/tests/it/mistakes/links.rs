//! Mistakes in `[[link_group]]` and `[[link_group.link]]`.

use super::each_is_said;
use crate::world::{World, changed, load};

#[test]
fn a_link_group_has_a_name_of_its_own_and_a_link() {
    each_is_said(&[(
        r#"[[link_group]]
name = "operator"
"#,
        r#"[[link_group]]
name = "operator"
[[link_group]]
name = "operator"
"#,
        "line 8: link_group[0].link: is missing; add a [[link_group.link]]\nline 11: link_group[1].name: the name is in use since line 9; give another",
    )]);
}

#[test]
fn an_sms_without_a_lease_is_dropped_or_rejected() {
    each_is_said(&[(
        r#"[[link_group]]
name = "operator"
"#,
        r#"[[link_group]]
name = "operator"
mo_unleased = "bounce"
"#,
        r#"line 10: link_group[0].mo_unleased: `bounce` is not known; write "drop" or "reject""#,
    )]);
}

#[test]
fn quirks_are_known() {
    each_is_said(&[
        (
            r#"[[link_group]]
name = "operator"
"#,
            r#"[[link_group]]
name = "operator"
quirks = "none"
"#,
            "line 10: link_group[0].quirks: is a text; write a table of quirks",
        ),
        (
            r#"[[link_group]]
name = "operator"
"#,
            r#"[[link_group]]
name = "operator"
quirks = { default_is_latin = true }
"#,
            "line 10: link_group[0].quirks.default_is_latin: is not a known key; did you mean `default_is_latin1`?",
        ),
        (
            r#"[[link_group]]
name = "operator"
"#,
            r#"[[link_group]]
name = "operator"
quirks = { default_is_latin1 = true, default_is_utf8 = true }
"#,
            "line 10: link_group[0].quirks: has both default_is_latin1 and default_is_utf8; remove the one that is not so",
        ),
    ]);
}

#[test]
fn no_two_links_share_a_name() {
    each_is_said(&[(
        r#"name = "b""#,
        r#"name = "a""#,
        "line 16: link_group[0].link[1].name: the name is in use since line 11; give another",
    )]);
}

#[test]
fn the_numbers_of_a_link_are_within_bounds() {
    each_is_said(&[
        (
            r#"name = "b""#,
            r#"name = "b"
window = 0"#,
            "line 17: link_group[0].link[1].window: is 0; write a number from 1 to 10000",
        ),
        (
            r#"name = "b""#,
            r#"name = "b"
rate = 0"#,
            "line 17: link_group[0].link[1].rate: is 0; write 1 or more, or remove it",
        ),
        (
            r#"name = "b""#,
            r#"name = "b"
reconnect_cap = "500ms""#,
            "line 17: link_group[0].link[1].reconnect_cap: is shorter than reconnect_first; write a longer time",
        ),
        (
            r#"name = "b""#,
            r#"name = "b"
interface_version = 0x50"#,
            "line 17: link_group[0].link[1].interface_version: is 0x50; write 0x34 for SMPP 3.4, or 0x33",
        ),
        (
            r#"name = "b""#,
            r#"name = "b"
addr_ton = 256"#,
            "line 17: link_group[0].link[1].addr_ton: is 256; write a smaller number",
        ),
    ]);
}

#[test]
fn a_field_of_smpp_is_short_and_ascii() {
    each_is_said(&[
        (
            r#"name = "b""#,
            r#"name = "b"
system_type = "thirteen char""#,
            "line 17: link_group[0].link[1].system_type: has 13 characters; SMPP carries 12 at most here",
        ),
        (
            r#"name = "b""#,
            r#"name = "b"
system_type = "é""#,
            "line 17: link_group[0].link[1].system_type: has characters beyond ASCII; SMPP carries only ASCII here",
        ),
    ]);
}

#[test]
fn tls_needs_readable_files_in_pairs() {
    each_is_said(&[
        (
            r#"name = "b""#,
            r#"name = "b"
tls = { cert_file = "absent" }"#,
            "line 17: link_group[0].link[1].tls: has cert_file alone; add its key_file\nline 17: link_group[0].link[1].tls.cert_file: cannot read /etc/gw/absent (no such file); let the service's user read it",
        ),
        (
            r#"name = "b""#,
            r#"name = "b"
tls = { key_file = "operator.password" }"#,
            "line 17: link_group[0].link[1].tls: has key_file alone; add its cert_file\nline 17: link_group[0].link[1].tls.key_file: holds no PRIVATE KEY; name a PEM file with -----BEGIN PRIVATE KEY-----",
        ),
        (
            r#"name = "b""#,
            r#"name = "b"
tls = { server_name = "smsc:2775" }"#,
            "line 17: link_group[0].link[1].tls.server_name: is not a host name; write the name only",
        ),
        (
            r#"name = "b""#,
            r#"name = "b"
tls = true"#,
            r#"line 17: link_group[0].link[1].tls: is true or false; write a table, e.g. { } or { ca_file = "..." }"#,
        ),
    ]);
}

#[test]
fn a_bind_is_one_of_four_words() {
    each_is_said(&[(
        r#"bind = "pair""#,
        r#"bind = "both""#,
        r#"line 18: link_group[0].link[1].bind: `both` is not known; write "transceiver" or "transmitter" or "receiver" or "pair""#,
    )]);
}

#[test]
fn an_address_is_a_host_and_a_port() {
    each_is_said(&[
        (
            r#"address = "127.0.0.1:2775""#,
            r#"address = "smsc""#,
            r#"line 12: link_group[0].link[0].address: `smsc` has no port; write host:port, e.g. "127.0.0.1:2775""#,
        ),
        (
            r#"address = "127.0.0.1:2775""#,
            r#"address = "smsc:99999""#,
            r#"line 12: link_group[0].link[0].address: `99999` is not a port from 1 to 65535; write host:port, e.g. "127.0.0.1:2775""#,
        ),
        (
            r#"address = "127.0.0.1:2775""#,
            r#"address = "::1""#,
            r#"line 12: link_group[0].link[0].address: `::1` is IPv6 without brackets; write "[::1]:2775""#,
        ),
        (
            r#"address = "127.0.0.1:2775""#,
            r#"address = "my smsc:2775""#,
            r#"line 12: link_group[0].link[0].address: `my smsc` is not a host; write host:port, e.g. "127.0.0.1:2775""#,
        ),
    ]);
}

#[test]
fn a_password_fits_smpp() {
    each_is_said(&[
        (
            r#"password = "secret""#,
            r#"password = "secret678""#,
            "line 14: link_group[0].link[0].password: is too long; SMPP carries 8 characters at most here",
        ),
        (
            r#"password = "secret""#,
            r#"password = "é""#,
            "line 14: link_group[0].link[0].password: has characters beyond ASCII; SMPP carries only ASCII here",
        ),
    ]);
}

#[test]
fn the_halves_of_a_pair_have_names_of_their_own() {
    each_is_said(&[(
        r#"name = "a""#,
        r#"name = "b-rx""#,
        "line 16: link_group[0].link[1].name: the name is in use since line 11; give another",
    )]);
}

#[test]
fn the_files_of_tls_hold_certificates_and_keys() {
    let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let key = "-----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY-----\n";
    let text = |cert_file: &str, key_file: &str| {
        let tls = format!("tls = {{ cert_file = \"{cert_file}\", key_file = \"{key_file}\" }}");
        changed("bind = \"pair\"", &format!("bind = \"pair\"\n{tls}"))
    };
    let world = || {
        World::new()
            .with("/etc/gw/a.pem", certificate)
            .with("/etc/gw/a.key", key)
            .with("/etc/gw/readme", "no PEM")
    };
    load(&text("a.pem", "a.key"), &world()).unwrap();
    for (cert_file, key_file, said) in [
        (
            "readme",
            "a.key",
            "cert_file: holds no CERTIFICATE; name a PEM file with -----BEGIN CERTIFICATE-----",
        ),
        (
            "a.pem",
            "a.pem",
            "key_file: holds no PRIVATE KEY; name a PEM file with -----BEGIN PRIVATE KEY-----",
        ),
    ] {
        let mistakes = load(&text(cert_file, key_file), &world()).unwrap_err();
        let expected = format!("line 19: link_group[0].link[1].tls.{said}");
        let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(told, [expected]);
    }
}
