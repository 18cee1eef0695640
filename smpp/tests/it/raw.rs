//! The driver against peers that write their own octets: slow, hasty, old and broken ones.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::BytesMut;
use matrix_smpp_codec::{
    Bind, BindResp, Body, CommandId, CommandStatus, DataSm, DeliverSm, Inbound, InterfaceVersion,
    Pdu, SubmitSm, SubmitSmResp, cut, decode,
};
use matrix_smpp_session::{
    Backoff, CloseReason, LinkEvent, LinkSettings, LinkState, ListenerSettings, SessionSettings,
    Ticket, UnansweredCause, client,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::common::*;

/// A peer made of nothing but a socket and the codec.
pub(crate) struct Raw {
    pub(crate) socket: TcpStream,
    inbound: BytesMut,
}

impl Raw {
    fn new(socket: TcpStream) -> Self {
        socket.set_nodelay(true).unwrap();
        Self {
            socket,
            inbound: BytesMut::new(),
        }
    }

    async fn accept(listener: &TcpListener) -> Self {
        Self::new(timeout(LONG, listener.accept()).await.unwrap().unwrap().0)
    }

    pub(crate) async fn connect(address: &str) -> Self {
        Self::new(TcpStream::connect(address).await.unwrap())
    }

    /// The next PDU; `None` at the end of the connection.
    pub(crate) async fn read(&mut self) -> Option<Pdu> {
        loop {
            if let Some(frame) = cut(&mut self.inbound, 100_000).unwrap() {
                let Inbound::Pdu(pdu) = decode(frame) else {
                    panic!()
                };
                return Some(pdu);
            }
            let read = timeout(LONG, self.socket.read_buf(&mut self.inbound))
                .await
                .unwrap();
            if read.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    pub(crate) async fn write(&mut self, octets: &[u8]) {
        self.socket.write_all(octets).await.unwrap();
    }

    /// Binds as a transceiver with the password that the tests' listeners know.
    pub(crate) async fn bind(&mut self) {
        self.write(&Self::bind_request()).await;
        let answer = self.read().await.unwrap();
        assert_eq!(answer.status, CommandStatus::ESME_ROK);
    }

    pub(crate) fn bind_request() -> Vec<u8> {
        let bind = Bind {
            system_id: octets("esme"),
            password: "secret".parse().unwrap(),
            interface_version: InterfaceVersion::V3_4,
            ..Bind::default()
        };
        encoded(&Pdu::new(1, Body::BindTransceiver(bind))).to_vec()
    }

    /// Accepts the bind, whatever it says, with a bind response as a 3.3 SMSC writes it.
    async fn accept_bind(&mut self) {
        let bind = self.read().await.unwrap();
        self.write(&bind_response(bind.sequence)).await;
    }
}

pub(crate) fn encoded(pdu: &Pdu) -> BytesMut {
    let mut octets = BytesMut::new();
    pdu.encode(&mut octets);
    octets
}

fn response(sequence: u32, status: CommandStatus, body: Body) -> BytesMut {
    encoded(&Pdu {
        status,
        sequence,
        body,
    })
}

fn bind_response(sequence: u32) -> BytesMut {
    let body = BindResp {
        system_id: octets("raw"),
        ..BindResp::default()
    };
    encoded(&Pdu::new(sequence, Body::BindTransceiverResp(body)))
}

fn submit_response(sequence: u32) -> BytesMut {
    encoded(&Pdu::new(
        sequence,
        Body::SubmitSmResp(SubmitSmResp::default()),
    ))
}

fn deliver(sequence: u32) -> BytesMut {
    encoded(&Pdu::new(sequence, Body::DeliverSm(DeliverSm::default())))
}

fn submit() -> Body {
    Body::SubmitSm(SubmitSm::default())
}

async fn smsc() -> (TcpListener, LinkSettings) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = link_settings(listener.local_addr().unwrap().to_string());
    (listener, settings)
}

/// A client that is bound to a raw SMSC.
async fn bound(settings: LinkSettings, listener: &TcpListener) -> (Esme, Raw) {
    let mut esme = connect(settings);
    let mut raw = Raw::accept(listener).await;
    raw.accept_bind().await;
    assert!(matches!(esme.next().await, LinkEvent::Up { .. }));
    (esme, raw)
}

fn down_reason(event: &LinkEvent) -> CloseReason {
    match event {
        LinkEvent::Down { reason, .. } => *reason,
        other => panic!("{other:?}"),
    }
}

// === framing ===

#[tokio::test]
async fn a_peer_may_send_octet_by_octet() {
    let (listener, settings) = smsc().await;
    let mut esme = connect(settings);
    let mut raw = Raw::accept(&listener).await;
    let bind = raw.read().await.unwrap();
    let mut all = bind_response(bind.sequence);
    all.extend_from_slice(&deliver(1));
    for octet in all {
        raw.write(&[octet]).await;
        tokio::task::yield_now().await;
    }
    let up = LinkEvent::Up {
        peer: octets("raw"),
        interface_version: None,
    };
    assert_eq!(esme.next().await, up);
    assert!(matches!(
        esme.next().await,
        LinkEvent::Request { sequence: 1, .. }
    ));
}

#[tokio::test]
async fn many_pdus_may_come_in_one_segment_the_first_of_them_the_bind_response() {
    let (listener, settings) = smsc().await;
    let mut esme = connect(settings);
    let mut raw = Raw::accept(&listener).await;
    let bind = raw.read().await.unwrap();
    let mut all = bind_response(bind.sequence);
    // Longer than anything that is taken before the bind.
    let mut long = DataSm::default();
    long.tlvs.set_message_payload(&[b'x'; 10_000]).unwrap();
    all.extend_from_slice(&encoded(&Pdu::new(1, Body::DataSm(long))));
    for sequence in 2..=200 {
        all.extend_from_slice(&deliver(sequence));
    }
    raw.write(&all).await;
    assert!(matches!(esme.next().await, LinkEvent::Up { .. }));
    for expected in 1..=200 {
        let LinkEvent::Request { sequence, .. } = esme.next().await else {
            panic!()
        };
        assert_eq!(sequence, expected);
    }
}

#[tokio::test]
async fn an_impossible_length_is_nacked_and_the_link_comes_back() {
    for length in [15_u32, 70_001, u32::MAX] {
        let (listener, settings) = smsc().await;
        let (mut esme, mut raw) = bound(settings, &listener).await;
        raw.write(&length.to_be_bytes()).await;
        raw.write(&[0; 12]).await;
        let nack = raw.read().await.unwrap();
        assert_eq!(nack.body, Body::GenericNack);
        assert_eq!(nack.status, CommandStatus::ESME_RINVCMDLEN);
        assert_eq!(down_reason(&esme.next().await), CloseReason::BrokenFraming);
        Raw::accept(&listener).await.accept_bind().await;
        assert!(matches!(esme.next().await, LinkEvent::Up { .. }));
    }
}

#[tokio::test]
async fn a_stranger_cannot_make_us_hold_a_long_pdu_before_it_binds() {
    let (address, _peers) = listen(listener_settings()).await;
    let mut raw = Raw::connect(&address).await;
    raw.write(&60_000_u32.to_be_bytes()).await;
    raw.write(&[0; 12]).await;
    assert_eq!(raw.read().await.unwrap().body, Body::GenericNack);
    assert_eq!(raw.read().await, None);
}

// === binding ===

#[tokio::test]
async fn a_peer_that_does_not_bind_in_time_is_dropped() {
    let session = SessionSettings {
        session_init: Duration::from_millis(50),
        ..SessionSettings::default()
    };
    let (address, _peers) = listen(ListenerSettings {
        session,
        ..listener_settings()
    })
    .await;
    let mut raw = Raw::connect(&address).await;
    assert_eq!(raw.read().await, None);
}

#[tokio::test]
async fn an_enquiry_before_the_bind_is_answered() {
    let (address, _peers) = listen(listener_settings()).await;
    let mut raw = Raw::connect(&address).await;
    raw.write(&encoded(&Pdu::new(3, Body::EnquireLink))).await;
    assert_eq!(
        raw.read().await.unwrap(),
        Pdu::new(3, Body::EnquireLinkResp)
    );
}

#[tokio::test]
async fn a_wrong_password_is_told_to_the_peer_and_the_connection_closed() {
    let (address, _peers) = listen(listener_settings()).await;
    let mut raw = Raw::connect(&address).await;
    let bind = Body::empty(CommandId::BIND_TRANSCEIVER).unwrap();
    raw.write(&encoded(&Pdu::new(1, bind))).await;
    let refusal = raw.read().await.unwrap();
    assert_eq!(refusal.status, CommandStatus::ESME_RINVPASWD);
    assert_eq!(raw.read().await, None);
}

/// What the client says after its bind was answered with this.
async fn after_bind_answer(status: CommandStatus, body: Body) -> LinkEvent {
    let (listener, settings) = smsc().await;
    let mut esme = connect(settings);
    let mut raw = Raw::accept(&listener).await;
    let bind = raw.read().await.unwrap();
    raw.write(&response(bind.sequence, status, body)).await;
    esme.next().await
}

#[tokio::test]
async fn a_bind_that_is_not_understood_is_reported_as_such() {
    let status = CommandStatus::ESME_RINVCMDID;
    let down = after_bind_answer(status, Body::GenericNack).await;
    assert_eq!(down_reason(&down), CloseReason::BindNacked(status));
}

#[tokio::test]
async fn a_wrong_password_is_tried_again_after_the_longest_pause() {
    let status = CommandStatus::ESME_RINVPASWD;
    let down = after_bind_answer(status, Body::BindTransceiverResp(BindResp::default())).await;
    let LinkEvent::Down {
        reason,
        retry_in: Some(pause),
    } = down
    else {
        panic!("{down:?}")
    };
    assert_eq!(reason, CloseReason::BindRefused(status));
    assert!(
        pause >= Duration::from_millis(500),
        "half of the cap at least: {pause:?}"
    );
}

#[tokio::test]
async fn a_bind_refused_as_already_bound_is_tried_again_soon() {
    let (listener, settings) = smsc().await;
    let mut esme = connect(settings);
    let mut raw = Raw::accept(&listener).await;
    let bind = raw.read().await.unwrap();
    let (status, body) = (
        CommandStatus::ESME_RALYBND,
        Body::BindTransceiverResp(BindResp::default()),
    );
    raw.write(&response(bind.sequence, status, body)).await;
    let down = esme.next().await;
    let LinkEvent::Down {
        reason,
        retry_in: Some(pause),
    } = down
    else {
        panic!("{down:?}")
    };
    assert_eq!(reason, CloseReason::BindRefused(status));
    assert!(
        pause <= Duration::from_millis(20),
        "the first pause: {pause:?}"
    );
    Raw::accept(&listener).await.accept_bind().await;
    assert!(matches!(esme.next().await, LinkEvent::Up { .. }));
}

#[tokio::test]
async fn a_peer_that_is_not_there_is_tried_again_until_it_is() {
    let (listener, settings) = smsc().await;
    drop(listener);
    let address = settings.address.clone();
    let mut esme = connect(settings);
    let refused = CloseReason::ConnectFailed(std::io::ErrorKind::ConnectionRefused);
    assert_eq!(down_reason(&esme.next().await), refused);
    let listener = TcpListener::bind(address).await.unwrap();
    Raw::accept(&listener).await.accept_bind().await;
    loop {
        match esme.next().await {
            LinkEvent::Up { .. } => break,
            down => assert_eq!(down_reason(&down), refused),
        }
    }
}

// === the end of a link ===

// linxGnu/gosmpp#135, #154; jookies/jasmin#1036: what was under way when a link broke was lost, or stuck.
#[tokio::test]
async fn a_dead_link_hands_back_its_requests_and_later_answers_are_dropped() {
    let (listener, settings) = smsc().await;
    let (mut esme, mut raw) = bound(settings, &listener).await;
    esme.link.submit(Ticket(1), submit()).unwrap();
    let sequence = raw.read().await.unwrap().sequence;
    raw.write(&deliver(9)).await;
    let LinkEvent::Request { epoch, .. } = esme.next().await else {
        panic!()
    };
    drop(raw);
    let cause = UnansweredCause::LinkDied;
    let lost = LinkEvent::Unanswered {
        ticket: Ticket(1),
        written: true,
        cause,
    };
    assert_eq!(esme.next().await, lost);
    assert!(matches!(
        esme.next().await,
        LinkEvent::Down {
            retry_in: Some(_),
            ..
        }
    ));

    let mut raw = Raw::accept(&listener).await;
    raw.accept_bind().await;
    assert!(matches!(esme.next().await, LinkEvent::Up { .. }));
    raw.write(&submit_response(sequence)).await;
    let ok = CommandStatus::ESME_ROK;
    let answer = Body::empty(CommandId::DELIVER_SM_RESP).unwrap();
    esme.link.respond(9, epoch, ok, answer.clone());
    raw.write(&deliver(10)).await;
    let LinkEvent::Request {
        epoch, sequence, ..
    } = esme.next().await
    else {
        panic!()
    };
    esme.link.respond(sequence, epoch, ok, answer);
    assert_eq!(
        raw.read().await.unwrap().sequence,
        10,
        "the answer to 9 must not arrive here"
    );
    assert_eq!(esme.link.counters().orphaned_answers.load(Relaxed), 1);
    assert_eq!(esme.link.counters().stray_responses.load(Relaxed), 1);
}

#[tokio::test]
async fn a_silent_peer_is_noticed_and_its_requests_handed_back() {
    let (listener, mut settings) = smsc().await;
    settings.session.enquire_link = Duration::from_millis(30);
    settings.session.response_timeout = Duration::from_millis(60);
    let (mut esme, mut raw) = bound(settings, &listener).await;
    esme.link.submit(Ticket(1), submit()).unwrap();
    let cause = UnansweredCause::Timeout;
    let lost = LinkEvent::Unanswered {
        ticket: Ticket(1),
        written: true,
        cause,
    };
    assert_eq!(esme.next().await, lost);
    assert_eq!(down_reason(&esme.next().await), CloseReason::LinkDead);
    let commands = [raw.read().await, raw.read().await].map(|pdu| pdu.unwrap().command_id());
    assert_eq!(commands, [CommandId::SUBMIT_SM, CommandId::ENQUIRE_LINK]);
}

#[tokio::test]
async fn a_close_waits_for_answers_unbinds_and_ends() {
    let (listener, settings) = smsc().await;
    let (mut esme, mut raw) = bound(settings, &listener).await;
    esme.link.submit(Ticket(1), submit()).unwrap();
    let sequence = raw.read().await.unwrap().sequence;
    esme.link.close();
    assert!(esme.link.submit(Ticket(2), submit()).is_err());
    raw.write(&submit_response(sequence)).await;
    assert!(matches!(
        esme.next().await,
        LinkEvent::Answered {
            ticket: Ticket(1),
            ..
        }
    ));
    let unbind = raw.read().await.unwrap();
    assert_eq!(unbind.body, Body::Unbind);
    raw.write(&encoded(&Pdu::new(unbind.sequence, Body::UnbindResp)))
        .await;
    let down = LinkEvent::Down {
        reason: CloseReason::WeClosed,
        retry_in: None,
    };
    assert_eq!(esme.next().await, down);
    assert_eq!(esme.events.recv().await, None);
    assert_eq!(raw.read().await, None);
}

#[tokio::test]
async fn a_close_in_the_pause_between_attempts_ends_the_link_at_once() {
    let (listener, mut settings) = smsc().await;
    drop(listener);
    settings.reconnect = Backoff {
        first: 100 * LONG,
        cap: 100 * LONG,
    };
    let (link, mut events, running) = client(settings);
    let closing = async {
        assert!(matches!(
            events.recv().await,
            Some(LinkEvent::Down {
                retry_in: Some(_),
                ..
            })
        ));
        link.close();
    };
    timeout(LONG, async { tokio::join!(running, closing) })
        .await
        .expect("ends at once");
    assert!(matches!(
        events.recv().await,
        Some(LinkEvent::Down { retry_in: None, .. })
    ));
    assert_eq!(events.recv().await, None);
}

#[tokio::test]
async fn a_dropped_future_hands_back_its_requests_and_ends_the_events() {
    let (listener, settings) = smsc().await;
    let (link, mut events, running) = client(settings);
    let mut running = Box::pin(running);
    let bind = async {
        let mut raw = Raw::accept(&listener).await;
        raw.accept_bind().await;
        raw
    };
    let up = async {
        let raw = bind.await;
        (raw, events.recv().await)
    };
    let (_raw, event) = tokio::select! {
        () = &mut running => panic!("ended"),
        up = up => up,
    };
    assert!(matches!(event, Some(LinkEvent::Up { .. })));
    link.submit(Ticket(1), submit()).unwrap();
    drop(running);
    let cause = UnansweredCause::Closed;
    let lost = LinkEvent::Unanswered {
        ticket: Ticket(1),
        written: false,
        cause,
    };
    assert_eq!(events.recv().await, Some(lost));
    assert_eq!(events.recv().await, None);
    assert_eq!((link.state(), link.capacity()), (LinkState::Down, 0));
}

#[tokio::test]
async fn dropping_the_events_closes_the_link() {
    let (listener, settings) = smsc().await;
    let (esme, mut raw) = bound(settings, &listener).await;
    drop(esme.events);
    assert_eq!(raw.read().await.unwrap().body, Body::Unbind);
}

// === back-pressure, window, rate ===

// farhadi/node-smpp#173 lost requests at a pause.
#[tokio::test]
async fn a_slow_reader_stops_the_peer_and_memory_stays_bounded() {
    let (listener, mut settings) = smsc().await;
    settings.session.event_queue = 100;
    settings.session.peer_window = usize::MAX;
    let (mut esme, mut raw) = bound(settings, &listener).await;
    // Written until the socket takes no more, which is when both kernels' buffers are full.
    let mut total = 0_u32;
    let mut flood = BytesMut::new();
    for sequence in 1..=1_000 {
        flood.extend_from_slice(&deliver(sequence));
    }
    while timeout(Duration::from_millis(300), raw.socket.write_all(&flood))
        .await
        .is_ok()
    {
        total += 1_000;
        assert!(total < 10_000_000, "the peer was never stopped");
    }
    let waiting = esme.link.events_waiting();
    assert!((100..=100 + 16 * 1024 / 33).contains(&waiting), "{waiting}");
    // And none of it is lost once it is read.
    for expected in 1..=total {
        let LinkEvent::Request { sequence, .. } = esme.next().await else {
            panic!()
        };
        assert_eq!(sequence, (expected - 1) % 1_000 + 1);
    }
}

#[tokio::test]
async fn ready_wakes_when_the_rate_gives_a_token() {
    let (listener, mut settings) = smsc().await;
    settings.session.window = 1_000;
    settings.session.rate = std::num::NonZeroU32::new(50);
    let (esme, _raw) = bound(settings, &listener).await;
    let begin = now();
    for ticket in 0..15 {
        timeout(LONG, esme.link.ready()).await.expect("woken");
        esme.link.submit(Ticket(ticket), submit()).unwrap();
    }
    // Five at once, then one every 20 ms.
    assert!(
        begin.elapsed() >= Duration::from_millis(199),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test]
async fn a_pause_outlasts_the_session_that_it_began_on() {
    let (listener, settings) = smsc().await;
    let (mut esme, raw) = bound(settings, &listener).await;
    esme.link.slow_down(LONG);
    drop(raw);
    assert!(matches!(esme.next().await, LinkEvent::Down { .. }));
    let mut again = Raw::accept(&listener).await;
    again.accept_bind().await;
    assert!(matches!(esme.next().await, LinkEvent::Up { .. }));
    assert_eq!(esme.link.capacity(), 0);
}

#[tokio::test]
async fn ready_wakes_when_slow_down_ends() {
    let (listener, settings) = smsc().await;
    let (esme, _raw) = bound(settings, &listener).await;
    esme.link.slow_down(Duration::from_millis(50));
    assert_eq!(esme.link.capacity(), 0);
    let begin = now();
    timeout(LONG, esme.link.ready()).await.expect("woken");
    assert!(begin.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn ready_wakes_when_a_request_times_out_and_when_the_link_comes_back() {
    let (listener, mut settings) = smsc().await;
    settings.session.window = 1;
    settings.session.response_timeout = Duration::from_millis(50);
    let (esme, raw) = bound(settings, &listener).await;
    esme.link.submit(Ticket(1), submit()).unwrap();
    timeout(LONG, esme.link.ready())
        .await
        .expect("woken by the timeout");
    drop(raw);
    while esme.link.state() == LinkState::Bound {
        tokio::task::yield_now().await;
    }
    let again = async {
        let mut raw = Raw::accept(&listener).await;
        raw.accept_bind().await;
        raw
    };
    let ready = timeout(LONG, esme.link.ready());
    let (_raw, woken) = tokio::join!(again, ready);
    woken.expect("woken by the bind");
}

#[tokio::test]
async fn ready_wakes_when_the_window_grows() {
    let (listener, mut settings) = smsc().await;
    settings.session.window = 1;
    let (esme, _raw) = bound(settings, &listener).await;
    esme.link.submit(Ticket(1), submit()).unwrap();
    let link = esme.link.clone();
    let grow = async { link.set_limits(2, None) };
    let (woken, ()) = tokio::join!(timeout(LONG, esme.link.ready()), grow);
    woken.expect("woken");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place_while_all_are_bound() {
    let settings = ListenerSettings {
        max_connections: 1,
        ..listener_settings()
    };
    let (address, _peers) = listen(settings).await;
    let mut first = Raw::connect(&address).await;
    first.bind().await;
    let mut second = Raw::connect(&address).await;
    second
        .write(&encoded(&Pdu::new(2, Body::EnquireLink)))
        .await;
    assert!(
        timeout(Duration::from_millis(100), second.socket.readable())
            .await
            .is_err()
    );
    drop(first);
    assert_eq!(second.read().await.unwrap().sequence, 2);
}

#[tokio::test]
async fn a_nack_reaches_a_peer_that_goes_on_sending() {
    let (address, _peers) = listen(listener_settings()).await;
    let mut raw = Raw::connect(&address).await;
    let mut garbage = BytesMut::from(&u32::MAX.to_be_bytes()[..]);
    garbage.resize(8_000_000, 0);
    raw.write(&garbage).await;
    assert_eq!(
        raw.read().await.unwrap().status,
        CommandStatus::ESME_RINVCMDLEN
    );
}

/// More than both kernels' buffers hold, towards a peer that reads one PDU and then dies.
#[tokio::test]
async fn what_the_socket_never_took_is_handed_back_as_not_written() {
    const MESSAGES: u64 = 600;
    let (listener, mut settings) = smsc().await;
    settings.session.window = 1_000;
    let (mut esme, mut raw) = bound(settings, &listener).await;
    let mut long = DataSm::default();
    long.tlvs.set_message_payload(&vec![b'x'; 60_000]).unwrap();
    for ticket in 0..MESSAGES {
        esme.link
            .submit(Ticket(ticket), Body::DataSm(long.clone()))
            .unwrap();
    }
    raw.read().await.unwrap();
    drop(raw);
    let mut fates = Vec::new();
    while let LinkEvent::Unanswered {
        ticket, written, ..
    } = esme.next().await
    {
        assert_eq!(ticket.0, fates.len() as u64);
        fates.push(written);
    }
    assert_eq!(fates.len() as u64, MESSAGES);
    assert!(fates[0], "the peer has read it");
    assert!(!fates[fates.len() - 1], "36 MB do not fit into a socket");
    assert!(
        fates.is_sorted_by(|before, after| before >= after),
        "octets leave in order"
    );
    let octets_out = esme.link.counters().bytes_out.load(Relaxed);
    let left = fates.iter().filter(|written| **written).count() as u64;
    assert!(left * 60_000 < octets_out + 60_100 && octets_out < (left + 1) * 60_100);
}
