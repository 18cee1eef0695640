//! Mistakes in `[[homeserver]]`.

use super::each_is_said;

#[test]
fn a_server_name_is_needed() {
    each_is_said(&[
        (
            r#"name = "example.org"
"#,
            "",
            r#"line 3: homeserver[0].name: is missing; write e.g. name = "example.org""#,
        ),
        (
            r#"name = "example.org"
"#,
            r#"name = "exa mple"
"#,
            r#"line 4: homeserver[0].name: `exa mple` does not fit; write the server name of a homeserver, e.g. "example.org""#,
        ),
    ]);
}

#[test]
fn a_url_is_of_http_and_holds_no_secret() {
    each_is_said(&[
        (
            r#"url = "http://127.0.0.1:8008/""#,
            r#"url = "127.0.0.1:8008""#,
            r#"line 5: homeserver[0].url: is not a URL; write e.g. "http://127.0.0.1:8008""#,
        ),
        (
            r#"url = "http://127.0.0.1:8008/""#,
            r#"url = "ftp://127.0.0.1:8008""#,
            r#"line 5: homeserver[0].url: is not an HTTP URL; write e.g. "http://127.0.0.1:8008""#,
        ),
        (
            r#"url = "http://127.0.0.1:8008/""#,
            r#"url = "http://a:b@127.0.0.1:8008""#,
            r#"line 5: homeserver[0].url: holds a user name or password; write e.g. "http://127.0.0.1:8008""#,
        ),
        (
            r#"url = "http://127.0.0.1:8008/""#,
            r#"url = "http://127.0.0.1:8008?x""#,
            r#"line 5: homeserver[0].url: has a `?` or `#`; write e.g. "http://127.0.0.1:8008""#,
        ),
    ]);
}

#[test]
fn a_secret_is_told_once() {
    each_is_said(&[
        (
            r#"as_token = "as-1"
"#,
            "",
            "line 3: homeserver[0].as_token: is missing; write one of `as_token`, `as_token_file` and `as_token_credential`",
        ),
        (
            r#"as_token = "as-1"
"#,
            r#"as_token = "as-1"
as_token_file = "x"
"#,
            "line 7: homeserver[0].as_token_file: tells a secret that line 6 tells already; keep one of the two",
        ),
    ]);
}

#[test]
fn a_token_fits_an_http_header() {
    each_is_said(&[
        (
            r#"as_token = "as-1"
"#,
            r#"as_token = ""
"#,
            "line 6: homeserver[0].as_token: is empty; write a long random text",
        ),
        (
            r#"as_token = "as-1"
"#,
            r#"as_token = "a b"
"#,
            "line 6: homeserver[0].as_token: has characters that HTTP headers do not carry; write ASCII only",
        ),
        (
            r#"as_token = "as-1"
"#,
            "as_token = 12\n",
            "line 6: homeserver[0].as_token: is a whole number; write a text in quotes",
        ),
    ]);
}

#[test]
fn a_secret_outside_the_file_must_be_readable() {
    each_is_said(&[
        (
            r#"as_token = "as-1"
"#,
            r#"as_token_file = "absent"
"#,
            "line 6: homeserver[0].as_token_file: cannot read /etc/gw/absent (no such file); let the service's user read it",
        ),
        (
            r#"as_token = "as-1"
"#,
            r#"as_token_credential = "as"
"#,
            "line 6: homeserver[0].as_token_credential: needs systemd: add LoadCredential=as:/path/of/the/secret to the unit; while that does not run, set CREDENTIALS_DIRECTORY to a folder with as; or name a file instead",
        ),
        (
            r#"as_token = "as-1"
"#,
            r#"as_token_credential = "../as"
"#,
            "line 6: homeserver[0].as_token_credential: `../as` is not a name; write it without slashes",
        ),
    ]);
}

#[test]
fn the_two_tokens_differ() {
    each_is_said(&[(
        r#"hs_token = "hs-1"
"#,
        r#"hs_token = "as-1"
"#,
        "line 7: homeserver[0].hs_token: is the same as as_token; give each its own long random text",
    )]);
}

#[test]
fn the_bot_is_no_phone() {
    each_is_said(&[(
        r#"hs_token = "hs-1"
"#,
        r#"hs_token = "hs-1"
bot_localpart = ".tel.1"
"#,
        r#"line 8: homeserver[0].bot_localpart: is the Matrix ID of a phone; write e.g. ".tel.bot""#,
    )]);
}

#[test]
fn no_two_homeservers_share_a_name_or_a_token() {
    each_is_said(&[(
        r#"hs_token = "hs-1"
"#,
        r#"hs_token = "hs-1"
[[homeserver]]
name = "example.org"
url = "http://h"
as_token = "as-2"
hs_token = "hs-1"
"#,
        "line 9: homeserver[1].name: the name is in use since line 4; give another\nline 12: homeserver[1].hs_token: the token is in use since line 7; give another",
    )]);
}

#[test]
fn a_token_that_is_shared_through_a_file_is_told_at_its_key() {
    each_is_said(&[(
        "hs_token = \"hs-1\"\n",
        r#"hs_token = "secret2"
[[homeserver]]
name = "example.net"
url = "http://h"
as_token = "as-2"
hs_token_file = "operator.password"
"#,
        "line 12: homeserver[1].hs_token: the token is in use since line 7; give another",
    )]);
}

#[test]
fn the_bot_is_no_shortcode_either() {
    each_is_said(&[(
        "hs_token = \"hs-1\"\n",
        "hs_token = \"hs-1\"\nbot_localpart = \".tel.=s12345\"\n",
        r#"line 8: homeserver[0].bot_localpart: is the Matrix ID of a phone; write e.g. ".tel.bot""#,
    )]);
}
