//! Mistakes in the sections that stand once.

use super::each_is_said;

#[test]
fn a_path_must_be_one() {
    each_is_said(&[
        (
            r#"data_dir = "/data""#,
            "data_dir = 3",
            "line 2: gateway.data_dir: is a whole number; write a path in quotes",
        ),
        (
            r#"data_dir = "/data""#,
            r#"data_dir = """#,
            "line 2: gateway.data_dir: is empty; write a path in quotes",
        ),
        (
            r#"data_dir = "/data""#,
            r#"data_dir = "/a\u0000b""#,
            "line 2: gateway.data_dir: holds a NUL; remove it",
        ),
        (
            r#"data_dir = "/data""#,
            r#"admin_socket = "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa""#,
            "line 2: gateway.admin_socket: is a path of 108 octets; write one of 107 at most",
        ),
    ]);
}

#[test]
fn a_name_has_its_characters() {
    each_is_said(&[
        (
            r#"data_dir = "/data""#,
            r#"name = "my gateway""#,
            "line 2: gateway.name: `my gateway` is not a name; write 1 to 64 letters, digits, `-`, `_` or `.`",
        ),
        (
            r#"data_dir = "/data""#,
            r#"public_name = """#,
            "line 2: gateway.public_name: `` does not fit; write 1 to 64 printable characters",
        ),
    ]);
}

#[test]
fn a_ghost_prefix_fits_a_matrix_id() {
    each_is_said(&[
        (
            r#"data_dir = "/data""#,
            r#"ghost_prefix = "Tel""#,
            "line 2: gateway.ghost_prefix: `Tel` does not fit a Matrix ID; write 1 to 64 of a-z, 0-9, `._=-/+`",
        ),
        (
            r#"data_dir = "/data""#,
            r#"ghost_prefix = "tel1""#,
            r#"line 2: gateway.ghost_prefix: ends in a digit; write a prefix such as ".tel.""#,
        ),
    ]);
}

#[test]
fn a_time_has_a_unit_and_bounds() {
    each_is_said(&[
        (
            r#"data_dir = "/data""#,
            "drain_timeout = 20",
            r#"line 2: gateway.drain_timeout: is a whole number; write a time with its unit, e.g. "10s", "5m", "24h" or "30d""#,
        ),
        (
            r#"data_dir = "/data""#,
            r#"drain_timeout = "20""#,
            r#"line 2: gateway.drain_timeout: `20` is not a time; write a time with its unit, e.g. "10s", "5m", "24h" or "30d""#,
        ),
        (
            r#"data_dir = "/data""#,
            r#"drain_timeout = "1h""#,
            "line 2: gateway.drain_timeout: is 1h; write a time from 0s to 10m",
        ),
    ]);
}

#[test]
fn a_choice_names_the_words_to_choose_from() {
    each_is_said(&[
        (
            r#"data_dir = "/data""#,
            r#"[store]
engine = "postgres""#,
            r#"line 3: store.engine: `postgres` is not known; write "sqlite" or "redis""#,
        ),
        (
            r#"data_dir = "/data""#,
            "[log]\nformat = true",
            r#"line 3: log.format: is true or false; write "text" or "json""#,
        ),
    ]);
}

#[test]
fn a_listener_is_an_address_of_its_own() {
    each_is_said(&[
        (
            r#"data_dir = "/data""#,
            r#"[appservice]
listen = "localhost""#,
            r#"line 3: appservice.listen: `localhost` does not fit; write an IP address and a port, e.g. "127.0.0.1:29300""#,
        ),
        (
            r#"data_dir = "/data""#,
            r#"[ops]
listen = "127.0.0.1:29300""#,
            "line 3: ops.listen: is where appservice.listen listens; write another port",
        ),
        (
            r#"data_dir = "/data""#,
            "[listener]\nlisten = \"0.0.0.0:29301\"",
            "line 3: listener.listen: is where ops.listen listens; write another port",
        ),
        (
            r#"data_dir = "/data""#,
            "[appservice]\nlisten = \"10.0.0.1:2775\"\n[listener]\nlisten = \"[::]:2775\"",
            "line 5: listener.listen: is where appservice.listen listens; write another port",
        ),
        (
            r#"data_dir = "/data""#,
            "[store.redis]\ninner_listen = \"127.0.0.1:29300\"",
            "line 3: store.redis.inner_listen: is where appservice.listen listens; write another port",
        ),
    ]);
}

#[test]
fn an_inner_door_is_an_address_that_others_can_reach() {
    let redis = |keys: &str| format!("[store]\nengine = \"redis\"\n[store.redis]\n{keys}");
    let anywhere = redis("inner_listen = \"0.0.0.0:29310\"");
    let nowhere = redis("inner_advertise = \"gateway-1.example.org:29310\"");
    let no_port = redis("inner_listen = \"0.0.0.0:29310\"\ninner_advertise = \"gateway-1\"");
    each_is_said(&[
        (
            r#"data_dir = "/data""#,
            &anywhere,
            "line 4: store.redis: has no inner_advertise, and inner_listen is no address to connect to; add it",
        ),
        (
            r#"data_dir = "/data""#,
            &nowhere,
            "line 4: store.redis: has no inner_listen; add where to listen",
        ),
        (
            r#"data_dir = "/data""#,
            &no_port,
            r#"line 6: store.redis.inner_advertise: `gateway-1` has no port; write host:port, e.g. "127.0.0.1:2775""#,
        ),
    ]);
}

#[test]
fn a_number_is_whole_and_within_bounds() {
    each_is_said(&[
        (
            r#"data_dir = "/data""#,
            "[appservice]\nmax_body_bytes = 1000",
            "line 3: appservice.max_body_bytes: is 1000; write a number from 1048576 to 1073741824",
        ),
        (
            r#"data_dir = "/data""#,
            "[appservice]\nmax_body_bytes = -1",
            "line 3: appservice.max_body_bytes: is -1; write a larger number",
        ),
        (
            r#"data_dir = "/data""#,
            r#"[appservice]
max_body_bytes = "64 MiB""#,
            "line 3: appservice.max_body_bytes: is a text; write a whole number without quotes",
        ),
        (
            r#"data_dir = "/data""#,
            "[appservice]\nmax_body_bytes = 99999999999999999999",
            "line 3: appservice.max_body_bytes: is too large; write a smaller number",
        ),
    ]);
}

#[test]
fn a_log_level_is_one() {
    for (level, word) in [
        ("", ""),
        ("verbose", "verbose"),
        ("info,matrix_smpp::smsc=loud", "matrix_smpp::smsc=loud"),
        ("info,=debug", "=debug"),
        ("info, debug", " debug"),
    ] {
        let expected = format!(
            "line 3: log.level: `{word}` is not a level; write error, warn, info, debug, trace or off, \
             for a part of the program too: \"info,matrix_smpp::smsc=debug\""
        );
        let text = format!("[log]\nlevel = \"{level}\"");
        each_is_said(&[(r#"data_dir = "/data""#, &text, &expected)]);
    }
}

#[test]
fn a_wait_can_grow() {
    each_is_said(&[(
        r#"data_dir = "/data""#,
        r#"[limits]
retry_first = "10m""#,
        "line 2: limits.retry_cap: is shorter than retry_first; write a longer time",
    )]);
}

#[test]
fn words_that_stop_texts_are_words_and_take_nothing_back() {
    each_is_said(&[
        (
            r#"data_dir = "/data""#,
            "[opt_out]\nstop_words = [\"STOP\", \"!\"]",
            "line 3: opt_out.stop_words: `!` is no such word; write at most 32 characters, with a letter or a \
             digit among them",
        ),
        (
            r#"data_dir = "/data""#,
            "[opt_out]\nstart_words = [\"START\", \"opt-out\"]",
            "line 3: opt_out.start_words: has `opt-out`, as stop_words has; write it in one of them",
        ),
        (
            r#"data_dir = "/data""#,
            "[opt_out]\nscope = \"some\"",
            "line 3: opt_out.scope: `some` is not known; write \"number\" or \"all\"",
        ),
    ]);
}

#[test]
fn a_time_may_be_too_short_too() {
    each_is_said(&[(
        r#"data_dir = "/data""#,
        "[limits]\nmo_part_ttl = \"59s\"",
        "line 3: limits.mo_part_ttl: is 59s; write a time from 1m to 30d",
    )]);
}

#[test]
fn a_limit_against_fraud_allows_something() {
    let fraud = |key: &str| format!("[fraud]\n{key}");
    let data = r#"data_dir = "/data""#;
    each_is_said(&[
        (
            data,
            &fraud("spend_per_day = \"0\""),
            "line 3: fraud.spend_per_day: is 0; write more than 0, or remove it for no limit",
        ),
        (
            data,
            &fraud("spend_per_day = 20"),
            r#"line 3: fraud.spend_per_day: is a whole number; write the amount in quotes, e.g. "0.045" (a float is not exact)"#,
        ),
        (
            data,
            &fraud("new_phones_per_day = 0"),
            "line 3: fraud.new_phones_per_day: is 0; write a number from 1 to 1000000",
        ),
        (
            data,
            &fraud("new_phones_per_prefix = \"20\""),
            "line 3: fraud.new_phones_per_prefix: is a text; write a whole number without quotes",
        ),
        (
            data,
            &fraud("prefix_window = \"30s\""),
            "line 3: fraud.prefix_window: is 30s; write a time from 1m to 7d",
        ),
        (
            data,
            &fraud("prefix_digits = 0"),
            "line 3: fraud.prefix_digits: is 0; write a number from 1 to 8",
        ),
        (
            data,
            &fraud("spend_a_day = \"20\""),
            "line 3: fraud.spend_a_day: is not a known key; did you mean `spend_per_day`?",
        ),
    ]);
}
