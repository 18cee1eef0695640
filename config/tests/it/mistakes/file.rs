//! Mistakes of the file as a whole: syntax, unknown keys, wrong brackets, wrong types.

use super::each_is_said;

#[test]
fn what_is_not_toml_is_told_by_its_line() {
    each_is_said(&[
        (
            "[gateway]\n",
            "[gateway\n",
            "line 1: is not TOML: unclosed table, expected `]`",
        ),
        (
            r#"data_dir = "/data""#,
            r#"data_dir = "/data"#,
            r#"line 2: is not TOML: invalid basic string, expected `"`"#,
        ),
        (
            r#"data_dir = "/data""#,
            r#"data_dir = "/data"
data_dir = "/data""#,
            "line 3: is not TOML: duplicate key",
        ),
    ]);
}

#[test]
fn an_unknown_table_or_key_is_refused_with_the_nearest_one() {
    each_is_said(&[
        (
            "[gateway]\n",
            "[gatway]\n",
            "line 1: gatway: is not a known key; did you mean `gateway`?",
        ),
        (
            "[gateway]\n",
            "[gateway]\ndatadir = 1\n",
            "line 2: gateway.datadir: is not a known key; did you mean `data_dir`?",
        ),
        (
            "[gateway]\n",
            "[gateway]\ncolour = 1\n",
            "line 2: gateway.colour: is not a known key; remove it, or use one of `name`, `public_name`, `data_dir`, `admin_socket`, `ghost_prefix`, `currency`, `check_marks`, `drain_timeout`",
        ),
        (
            "[gateway]\n",
            r#"[gateway]
"a b" = 1
"#,
            "line 2: gateway.`a b`: is not a known key; remove it, or use one of `name`, `public_name`, `data_dir`, `admin_socket`, `ghost_prefix`, `currency`, `check_marks`, `drain_timeout`",
        ),
        (
            "[[dedicated]]\n",
            "[dedicate]\n",
            "line 36: dedicate: is not a known key; did you mean `dedicated`?",
        ),
    ]);
}

#[test]
fn the_wrong_brackets_are_told() {
    each_is_said(&[
        (
            "[gateway]\n",
            "[[gateway]]\n",
            "line 1: gateway: is a list; write [gateway] with one pair of brackets",
        ),
        (
            "[[pool]]\n",
            "[pool]\n",
            "line 21: pool: is a table; write [[pool]] with two pairs of brackets\nline 28: route[0].originator.pool: there is no [[pool]]; add one with the name `uk`",
        ),
    ]);
}
