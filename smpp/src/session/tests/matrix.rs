//! SMPP 3.4 Table 2-1, cell by cell.

use super::*;

/// What becomes of each PDU of the peer, by its sender and by the state that it meets: `y` taken, `b`
/// refused with RINVBNDSTS, `a` refused with RALYBND, `-` passed over in silence, `.` no such state.
/// Columns: open, outbound, bind not answered yet; bound as transmitter, receiver, transceiver;
/// unbinding, closed.
const BY_PEER: [(CommandId, &str, &str); 28] = [
    // command                          from ESME     from SMSC
    (CommandId::BIND_TRANSMITTER, "yba aaa --", "b.b bbb --"),
    (CommandId::BIND_RECEIVER, "yya aaa --", "b.b bbb --"),
    (CommandId::BIND_TRANSCEIVER, "yya aaa --", "b.b bbb --"),
    (CommandId::OUTBIND, "--- --- --", "y.- --- --"),
    (CommandId::UNBIND, "bbb yyy y-", "b.b yyy y-"),
    (CommandId::SUBMIT_SM, "bbb yby --", "b.b bbb --"),
    (CommandId::SUBMIT_MULTI, "bbb yby --", "b.b bbb --"),
    (CommandId::DATA_SM, "bbb yyy --", "b.b yyy --"),
    (CommandId::DELIVER_SM, "bbb bbb --", "b.b byy --"),
    (CommandId::QUERY_SM, "bbb yby --", "b.b bbb --"),
    (CommandId::CANCEL_SM, "bbb yby --", "b.b bbb --"),
    (CommandId::REPLACE_SM, "bbb yby --", "b.b bbb --"),
    (CommandId::ENQUIRE_LINK, "yyy yyy y-", "y.y yyy y-"),
    (CommandId::ALERT_NOTIFICATION, "--- --- --", "-.- -yy --"),
    // Responses to nothing, and with a number that nothing was asked by.
    (CommandId::BIND_TRANSMITTER_RESP, NOTHING.0, NOTHING.1),
    (CommandId::BIND_RECEIVER_RESP, NOTHING.0, NOTHING.1),
    (CommandId::BIND_TRANSCEIVER_RESP, NOTHING.0, NOTHING.1),
    (CommandId::UNBIND_RESP, NOTHING.0, NOTHING.1),
    (CommandId::SUBMIT_SM_RESP, NOTHING.0, NOTHING.1),
    (CommandId::SUBMIT_MULTI_RESP, NOTHING.0, NOTHING.1),
    (CommandId::DATA_SM_RESP, NOTHING.0, NOTHING.1),
    (CommandId::DELIVER_SM_RESP, NOTHING.0, NOTHING.1),
    (CommandId::QUERY_SM_RESP, NOTHING.0, NOTHING.1),
    (CommandId::CANCEL_SM_RESP, NOTHING.0, NOTHING.1),
    (CommandId::REPLACE_SM_RESP, NOTHING.0, NOTHING.1),
    (CommandId::ENQUIRE_LINK_RESP, NOTHING.0, NOTHING.1),
    (CommandId::GENERIC_NACK, NOTHING.0, NOTHING.1),
    // Of a later version: nacked by its number wherever a request is heard.
    (BROADCAST_SM, "nnn nnn --", "n.n nnn --"),
];

const NOTHING: (&str, &str) = ("--- --- --", "-.- --- --");

/// SMPP 5.0 §4.4.1.
const BROADCAST_SM: CommandId = CommandId(0x0000_0111);

/// What may be submitted, by who submits: bound as transmitter, receiver, transceiver.
const BY_US: [(CommandId, &str, &str); 14] = [
    // command                    ESME   SMSC
    (CommandId::BIND_TRANSMITTER, "---", "---"),
    (CommandId::BIND_RECEIVER, "---", "---"),
    (CommandId::BIND_TRANSCEIVER, "---", "---"),
    (CommandId::OUTBIND, "---", "---"),
    (CommandId::UNBIND, "---", "---"),
    (CommandId::SUBMIT_SM, "y-y", "---"),
    (CommandId::SUBMIT_MULTI, "y-y", "---"),
    (CommandId::DATA_SM, "y-y", "-yy"),
    (CommandId::DELIVER_SM, "---", "-yy"),
    (CommandId::QUERY_SM, "y-y", "---"),
    (CommandId::CANCEL_SM, "y-y", "---"),
    (CommandId::REPLACE_SM, "y-y", "---"),
    (CommandId::ENQUIRE_LINK, "---", "---"),
    (CommandId::ALERT_NOTIFICATION, "---", "-yy"),
];

fn in_state(role: Role, column: usize) -> Probe {
    let bound = |mode| match role {
        Role::Esme => Probe::esme_with(mode, settings()),
        Role::Smsc => Probe::smsc(mode),
    };
    let mut probe = match column {
        0..=2 => Probe::open(role, settings()),
        3..=5 => bound(BindMode::ALL[column - 3]),
        _ => bound(BindMode::Transceiver),
    };
    match (role, column) {
        (Role::Smsc, 1) => probe.session.outbind(Outbind::default()),
        (Role::Smsc, 2) => probe.asks(5, bind_request(&bind_settings(BindMode::Transceiver))),
        (Role::Esme, 2) => {
            let settings = bind_settings(BindMode::Transceiver);
            probe.session.bind(probe.now, &settings);
        }
        (_, 6) => probe.session.close(probe.now),
        (_, 7) => assert_eq!(probe.gone().len(), 1),
        _ => {}
    }
    probe.sent();
    probe.events();
    probe
}

fn hear(probe: &mut Probe, command: CommandId) {
    if let Some(body) = Body::empty(command) {
        return probe.asks(77, body);
    }
    let mut frame = BytesMut::new();
    for word in [16, command.0, 0, 77] {
        frame.extend_from_slice(&word.to_be_bytes());
    }
    let inbound = decode(cut(&mut frame, 100).unwrap().unwrap());
    probe.session.handle_inbound(probe.now, inbound);
}

fn check(role: Role, column: usize, command: CommandId, expected: char) {
    let at = format!("{command} to {role:?} in column {column}");
    let mut probe = in_state(role, column);
    let before = probe.session.state();
    hear(&mut probe, command);
    let (replies, events) = (probe.replies(), probe.events());
    let answered = |status| vec![(77, command.response().unwrap(), status)];
    match expected {
        'b' => assert_eq!(replies, answered(CommandStatus::ESME_RINVBNDSTS), "{at}"),
        'a' => assert_eq!(replies, answered(CommandStatus::ESME_RALYBND), "{at}"),
        'n' => {
            let nack = (77, CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDID);
            assert_eq!(replies, [nack], "{at}");
        }
        '-' => assert_eq!(replies, [], "{at}"),
        _ if matches!(command, CommandId::UNBIND | CommandId::ENQUIRE_LINK) => {
            assert_eq!(replies, answered(CommandStatus::ESME_ROK), "{at}");
        }
        _ => assert_eq!((replies.len(), events.len()), (0, 1), "{at}"),
    }
    if expected != 'y' {
        assert_eq!(events, [], "{at}");
        assert_eq!(probe.session.state(), before, "{at}");
    }
}

#[test]
fn every_pdu_in_every_state_is_taken_or_refused_as_the_table_says() {
    for (command, from_esme, from_smsc) in BY_PEER {
        for (role, row) in [(Role::Smsc, from_esme), (Role::Esme, from_smsc)] {
            let cells: Vec<_> = row.chars().filter(|cell| *cell != ' ').collect();
            assert_eq!(cells.len(), 8, "{command}");
            for (column, expected) in cells.into_iter().enumerate() {
                if expected != '.' {
                    check(role, column, command, expected);
                }
            }
        }
    }
}

#[test]
fn the_table_holds_every_command_that_has_a_body() {
    for command in CommandId::KNOWN {
        let listed = BY_PEER.iter().any(|(known, ..)| known == command);
        assert!(listed || Body::empty(*command).is_none(), "{command}");
    }
}

#[test]
fn an_end_submits_only_what_the_table_lets_it() {
    for (command, by_esme, by_smsc) in BY_US {
        for (role, row) in [(Role::Esme, by_esme), (Role::Smsc, by_smsc)] {
            for (column, allowed) in row.chars().enumerate() {
                let mut probe = in_state(role, 3 + column);
                let body = Body::empty(command).unwrap();
                let outcome = probe.session.submit(probe.now, Ticket(1), body);
                let at = format!("{command} by {role:?} in column {column}");
                assert_eq!(outcome.is_ok(), allowed == 'y', "{at}");
                assert_eq!(probe.sent().len(), usize::from(allowed == 'y'), "{at}");
            }
        }
    }
}

#[test]
fn nothing_is_submitted_unless_bound() {
    for column in [0, 1, 2, 6, 7] {
        for role in [Role::Esme, Role::Smsc] {
            let mut probe = in_state(role, column);
            for (command, ..) in BY_US {
                let body = Body::empty(command).unwrap();
                let outcome = probe.session.submit(probe.now, Ticket(1), body);
                assert!(matches!(outcome, Err(SubmitError::NotBound(_))));
            }
            assert_eq!(probe.sent(), []);
        }
    }
}
