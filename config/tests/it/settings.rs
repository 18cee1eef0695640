//! What a file without mistakes becomes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use matrix_smpp_config::{Bind, Env, Fraud, Originator, ProcessEnv, load as load_file};
use proptest::prelude::*;
use secrecy::ExposeSecret;

use crate::world::{BASE, World, changed, load};

#[test]
fn a_pair_becomes_a_transmitter_and_a_receiver() {
    let settings = load(BASE, &World::new()).unwrap();
    let links = &settings.link_groups[0].links;
    let binds: Vec<_> = links
        .iter()
        .map(|link| (link.name.as_str(), link.bind))
        .collect();
    assert_eq!(
        binds,
        [
            ("a", Bind::Transceiver),
            ("b-tx", Bind::Transmitter),
            ("b-rx", Bind::Receiver)
        ]
    );
    assert!(
        links[1..]
            .iter()
            .all(|link| link.address == "smsc.example.net:2775")
    );
}

#[test]
fn what_is_not_set_follows_from_what_is() {
    let settings = load(BASE, &World::new()).unwrap();
    assert_eq!(settings.gateway.admin_socket, Path::new("/data/admin.sock"));
    assert_eq!(settings.store.path, Path::new("/data/gateway.db"));
    assert_eq!(settings.homeservers[0].bot_localpart, ".tel.bot");
    assert_eq!(settings.homeservers[0].url, "http://127.0.0.1:8008");
    assert_eq!(
        settings.routing.routes[0].validity,
        Duration::from_hours(24)
    );

    let other = changed(
        "data_dir = \"/data\"",
        "data_dir = \"data\"\nghost_prefix = \"_sms_\"",
    );
    let settings = load(&other, &World::new()).unwrap();
    assert_eq!(settings.store.path, Path::new("/etc/gw/data/gateway.db"));
    assert_eq!(settings.homeservers[0].bot_localpart, "_sms_bot");
}

#[test]
fn without_a_word_about_fraud_there_are_no_limits() {
    let fraud = load(BASE, &World::new()).unwrap().routing.fraud;
    assert_eq!(fraud, Fraud::default());
    assert!(!fraud.is_limited());
    for key in [
        "spend_per_day = \"0.01\"",
        "new_phones_per_day = 1",
        "new_phones_per_prefix = 1",
    ] {
        let text = changed("[gateway]", &format!("[fraud]\n{key}\n[gateway]"));
        let fraud = load(&text, &World::new()).unwrap().routing.fraud;
        assert!(fraud.is_limited(), "{key}");
    }
}

#[test]
fn the_route_with_the_longest_prefix_wins() {
    let settings = load(BASE, &World::new()).unwrap();
    let route = |number: &str| {
        settings
            .routing
            .route_for(&number.parse().unwrap())
            .unwrap()
            .name
            .clone()
    };
    assert_eq!(route("441700900123"), "uk");
    assert_eq!(route("447700900123"), "world");
    assert_eq!(route("4930123456"), "world");

    let without = changed("prefixes = [\"\", \"447\"]", "prefixes = [\"1\"]");
    let settings = load(&without, &World::new()).unwrap();
    assert!(
        settings
            .routing
            .route_for(&"4930123456".parse().unwrap())
            .is_none()
    );
}

#[test]
fn own_numbers_are_those_of_pools_and_routes_and_the_dedicated() {
    let settings = load(BASE, &World::new()).unwrap();
    for number in [
        "447700900900",
        "447700900910",
        "447700900919",
        "447700900999",
        "12345",
    ] {
        assert!(settings.routing.is_own_number(number), "{number}");
    }
    for number in [
        "447700900901",
        "447700900920",
        "44770090091",
        "1234",
        "",
        "x",
    ] {
        assert!(!settings.routing.is_own_number(number), "{number}");
    }
    assert_eq!(
        settings.routing.dedicated_owner("447700900999").unwrap(),
        "@alice:example.org"
    );
    assert_eq!(settings.routing.dedicated_owner("447700900900"), None);
    assert_eq!(settings.routing.pool_of("447700900915").unwrap().name, "uk");
}

#[test]
fn a_pool_gives_each_of_its_numbers() {
    let settings = load(BASE, &World::new()).unwrap();
    let numbers: Vec<_> = settings.routing.pools[0]
        .numbers
        .iter()
        .map(|one| one.to_string())
        .collect();
    assert_eq!(numbers.len(), 11);
    assert_eq!(settings.routing.pools[0].numbers.count(), 11);
    assert_eq!(
        (
            numbers[0].as_str(),
            numbers[1].as_str(),
            numbers[10].as_str()
        ),
        ("447700900900", "447700900910", "447700900919")
    );
    assert!(
        matches!(&settings.routing.routes[0].originator, Originator::Pool(pool) if pool == "uk")
    );
}

#[test]
fn a_secret_comes_from_the_file_or_from_a_credential() {
    let settings = load(BASE, &World::new()).unwrap();
    assert_eq!(settings.homeservers[0].as_token.expose_secret(), "as-1");
    assert_eq!(
        settings.link_groups[0].links[1].password.expose_secret(),
        "secret2"
    );

    let mut world = World::new().with("/run/credentials/gw/as", "as-2\r\n");
    world.credentials = Some(PathBuf::from("/run/credentials/gw"));
    let text = changed("as_token = \"as-1\"", "as_token_credential = \"as\"");
    let settings = load(&text, &world).unwrap();
    assert_eq!(settings.homeservers[0].as_token.expose_secret(), "as-2");
}

#[test]
fn nothing_private_is_in_debug() {
    let shown = format!("{:?}", load(BASE, &World::new()).unwrap());
    for private in ["as-1", "hs-1", "secret", "447700900900", "447700900999"] {
        assert!(!shown.contains(private), "{private} is in {shown}");
    }
}

#[test]
fn a_file_is_read_from_the_disk_and_its_paths_start_at_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, BASE).unwrap();
    std::fs::write(folder.path().join("operator.password"), "secret3").unwrap();
    let settings = load_file(&path, &ProcessEnv).unwrap();
    assert_eq!(
        settings.link_groups[0].links[1].password.expose_secret(),
        "secret3"
    );
}

#[test]
fn a_file_that_is_absent_or_too_large_is_the_one_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let absent = load_file(&path, &ProcessEnv).unwrap_err();
    assert_eq!(
        absent
            .iter()
            .map(|mistake| mistake.line)
            .collect::<Vec<_>>(),
        [None]
    );
    assert!(
        absent.to_string().contains("config.toml: cannot be read: "),
        "{absent}"
    );

    std::fs::write(&path, "#".repeat(1024 * 1024 + 1)).unwrap();
    let large = load_file(&path, &ProcessEnv).unwrap_err();
    assert!(
        large
            .to_string()
            .ends_with("cannot be read: larger than 1 MiB"),
        "{large}"
    );

    std::fs::write(&path, "#".repeat(1024 * 1024)).unwrap();
    assert_eq!(ProcessEnv.read_file(&path).unwrap().len(), 1024 * 1024);
}

/// Lines that a file may hold, so that random files come near to real ones.
fn any_line() -> impl Strategy<Value = String> {
    let headers = prop::sample::select(vec![
        "[gateway]",
        "[store]",
        "[[homeserver]]",
        "[homeserver]",
        "[[link_group]]",
        "[[link_group.link]]",
        "[[pool]]",
        "[[route]]",
        "[[dedicated]]",
        "[fraud]",
        "[limits]",
        "[[ops]]",
    ]);
    let keys = prop::sample::select(vec![
        "name",
        "as_token",
        "hs_token_file",
        "address",
        "bind",
        "window",
        "tls",
        "numbers",
        "prefixes",
        "originator",
        "price",
        "link_group",
        "number",
        "owner",
        "long_messages",
        "alphabets",
        "national_tables",
        "message_ids",
        "data_dir",
        "admin_socket",
        "retry_cap",
        "look_back",
        "invites_per_hour",
        "rooms_per_hour",
        "unpaid_notices_per_hour",
        "quirks",
        "link",
        "\"\\u0000é\"",
    ]);
    let values = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:?}")),
        "[ -~é\u{80}-\u{2ff}]{0,20}".prop_map(|text| format!("{text:?}")),
        "[0-9.:s@-]{0,20}".prop_map(|text| format!("\"{text}\"")),
        "[0-9-]{0,20}".prop_map(|text| format!("[\"{text}\", 1, []]")),
        Just("{ pool = 1, shortcode = \"\" }".to_owned()),
        Just("1979-05-27T07:32:00Z".to_owned()),
        Just("99999999999999999999999".to_owned()),
    ];
    prop_oneof![
        headers.prop_map(str::to_owned),
        (keys, values).prop_map(|(key, value)| format!("{key} = {value}")),
    ]
}

proptest! {
    #[test]
    fn any_text_loads_or_is_told_its_mistakes(text in ".*") {
        if let Err(mistakes) = load(&text, &World::new()) {
            prop_assert!(mistakes.iter().count() > 0);
        }
    }

    #[test]
    fn any_lines_of_a_file_load_or_are_told_their_mistakes(
        lines in prop::collection::vec(any_line(), 0..40),
    ) {
        let text = lines.join("\n");
        let mistakes = load(&text, &World::new()).map(|_| ()).unwrap_err();
        let last = text.split('\n').count();
        for mistake in mistakes.iter() {
            prop_assert!(mistake.line.is_some_and(|line| (1..=last).contains(&line)), "{mistake}");
        }
    }

    #[test]
    fn a_file_that_is_cut_off_anywhere_never_panics(at in 0..BASE.len()) {
        if let Err(mistakes) = load(BASE.get(..at).unwrap_or_default(), &World::new()) {
            prop_assert!(mistakes.iter().count() > 0);
        }
    }
}

#[test]
fn a_deeply_nested_file_is_told_its_mistakes() {
    let depth = 300_000;
    for text in [
        format!("a = {}", "[".repeat(depth)),
        format!("a = {}", "{a=".repeat(depth)),
        format!("{}a = 1", "a.".repeat(depth)),
        format!("[{}a]", "a.".repeat(depth)),
        format!("gateway.{}a = 1", "a.".repeat(depth)),
    ] {
        assert!(load(&text, &World::new()).is_err());
    }
}

#[test]
fn what_holds_from_the_start_on_is_told_apart_from_what_may_change() {
    let world = World::new();
    let base = load(BASE, &world).unwrap();
    let told = |text: &str, world: &World| base.fixed_changes(&load(text, world).unwrap());
    let nothing: [&str; 0] = [];
    assert_eq!(told(BASE, &world), nothing);
    for (from, to) in [
        ("price = \"0.045\"", "price = \"0.05\""),
        ("owner = \"@alice", "owner = \"@bob"),
        ("[gateway]", "[fraud]\nspend_per_day = \"20\"\n[gateway]"),
        ("numbers = [\"447700900900\", ", "numbers = ["),
        // What is said, and is so anyway.
        ("as_token", "bot_localpart = \".tel.bot\"\nas_token"),
    ] {
        assert_eq!(told(&changed(from, to), &world), nothing, "{to}");
    }
    for (from, to, key) in [
        (
            "[gateway]",
            "[limits]\nretry_first = \"3s\"\n[gateway]",
            "limits.retry_first",
        ),
        (
            "[gateway]",
            "[store]\nredis.prefix = \"x\"\n[gateway]",
            "store.redis",
        ),
        (
            "as_token = \"as-1\"",
            "as_token = \"as-2\"",
            "homeserver example.org.as_token",
        ),
        (
            "address = \"127",
            "window = 3\naddress = \"127",
            "link_group operator.link",
        ),
        (
            "password = \"secret\"",
            "password = \"another\"",
            "link_group operator.link",
        ),
    ] {
        assert_eq!(told(&changed(from, to), &world), [key]);
    }
    let other_file = World::default().with("/etc/gw/operator.password", "another");
    assert_eq!(told(BASE, &other_file), ["link_group operator.link"]);
    let moved = BASE.replace("\"operator\"", "\"other\"");
    assert_eq!(
        told(&moved, &world),
        ["link_group operator", "link_group other"]
    );
}

#[test]
fn a_secret_that_everybody_can_read_is_noted_once_a_file() {
    let notes = |world: &World| -> Vec<_> {
        let settings = load(BASE, world).unwrap();
        settings.notes.iter().map(ToString::to_string).collect()
    };
    let mut world = World::new();
    assert!(notes(&world).is_empty());
    world.public.insert("/etc/gw/config.toml".into());
    world.public.insert("/etc/gw/operator.password".into());
    let said = notes(&world);
    let mend = "which holds a secret; chmod o-r it";
    assert_eq!(
        said,
        [
            format!(
                "line 6: homeserver[0].as_token: every user of this machine can read \
                 /etc/gw/config.toml, {mend}"
            ),
            format!(
                "line 20: link_group[0].link[1].password_file: every user of this machine can \
                 read /etc/gw/operator.password, {mend}"
            ),
        ]
    );
}

#[test]
fn a_store_is_no_folder() {
    let mut world = World::new();
    world.folders.insert("/data/gateway.db".into());
    let mistakes = load(BASE, &world).unwrap_err();
    let said: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        ["line 1: store.path: /data/gateway.db is a folder; name a file in it"]
    );
}

#[test]
fn whether_everybody_can_read_a_file_depends_on_its_folders_too() {
    use std::fs::{Permissions, create_dir, set_permissions, write};
    use std::os::unix::fs::PermissionsExt as _;

    let home = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode| set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let folder = home.path().join("matrix-smpp");
    create_dir(&folder).unwrap();
    let file = folder.join("secret");
    write(&file, "secret").unwrap();
    let mut seen = Vec::new();
    for (of_home, of_folder, of_file) in [
        (0o755, 0o755, 0o644),
        (0o755, 0o755, 0o640),
        (0o755, 0o750, 0o644),
        (0o700, 0o755, 0o644),
    ] {
        mode(home.path(), of_home);
        mode(&folder, of_folder);
        mode(&file, of_file);
        seen.push(ProcessEnv.is_public(&file));
    }
    let others_enter = |folder: &Path| folder.metadata().unwrap().permissions().mode() & 1 == 1;
    let is_reached = home.path().ancestors().skip(1).all(others_enter);
    assert_eq!(seen, [is_reached, false, false, false]);
    assert!(!ProcessEnv.is_public(&folder.join("absent")));
    assert!(ProcessEnv.is_folder(&folder) && !ProcessEnv.is_folder(&file));
}
