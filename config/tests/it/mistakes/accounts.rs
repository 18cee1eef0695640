//! Mistakes in `[listener]` and `[[esme]]`.

use super::each_is_said;

/// The end of the base, and the same with more tables.
fn added(more: &str, expected: &str) {
    let last = "owner = \"@alice:example.org\"\n";
    each_is_said(&[(last, &format!("{last}{more}"), expected)]);
}

const ACCOUNT: &str = "[[esme]]
name = \"aggregator\"
system_id = \"agg\"
password = \"secret\"
";
const LISTENER: &str = "[listener]
listen = \"127.0.0.1:2775\"
";

#[test]
fn an_account_needs_a_listener() {
    added(
        ACCOUNT,
        "line 39: esme[0]: has no listener to bind to; add `listen` to [listener]",
    );
}

#[test]
fn an_account_has_names_of_its_own() {
    let named_as_a_group = ACCOUNT.replace("\"aggregator\"", "\"operator\"");
    added(
        &format!("{LISTENER}{named_as_a_group}"),
        "line 42: esme[0].name: `operator` is the name of a [[link_group]]; give another",
    );
    added(
        &format!("{LISTENER}{ACCOUNT}{ACCOUNT}"),
        "line 46: esme[1].name: the name is in use since line 42; give another\nline 47: esme[1].system_id: the system_id is in use since line 43; give another",
    );
}

#[test]
fn a_certificate_can_be_checked() {
    added(
        &format!("{LISTENER}{ACCOUNT}certificate = \"esme.example.net\"\n"),
        "line 45: esme[0].certificate: cannot be checked; add `tls.client_ca_file` to [listener]",
    );
}

#[test]
fn a_network_is_an_address_with_its_length() {
    added(
        &format!("{LISTENER}{ACCOUNT}networks = [\"192.0.2.0/33\"]\n"),
        "line 45: esme[0].networks[0]: `192.0.2.0/33` is no network; write a network, e.g. \"192.0.2.0/24\", or an address",
    );
}

#[test]
fn a_listener_that_speaks_tls_has_a_certificate_and_its_key() {
    added(
        &format!("{LISTENER}tls = {{ client_optional = true }}\n"),
        "line 41: listener.tls: has no cert_file; add it",
    );
}

#[test]
fn an_account_proves_itself_by_a_password_a_certificate_or_both() {
    let nothing = ACCOUNT.replace("password = \"secret\"\n", "");
    added(
        &format!("{LISTENER}{nothing}"),
        "line 41: esme[0]: has neither a password nor a certificate; add one of `password`, `password_file`, `password_credential` and `certificate`",
    );
    added(
        &format!("{LISTENER}{ACCOUNT}password_file = \"agg.password\"\n"),
        "line 45: esme[0].password_file: tells a secret that line 44 tells already; keep one of the two",
    );
}

#[test]
fn the_pace_of_sessions_has_its_bounds() {
    added(
        &format!("{LISTENER}adapt = {{ pause = \"2s\", longest_pause = \"1s\" }}\n"),
        "line 41: listener.adapt: has a longest_pause below its pause; write a longer time",
    );
    added(
        &format!("{LISTENER}{ACCOUNT}country_code = \"+44\"\n"),
        "line 45: esme[0].country_code: is no country code; write its digits, e.g. \"44\"",
    );
}
