//! Both ends as the crate `smpp34` has them, used as its own loopback example does.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use smpp34::client::{BIND_TYPE, SMSC, SmppClient, SmppClientListener};
use smpp34::{
    SmppConnectionInformation, SmppServer, SmppServerListener, bind_transceiver,
    bind_transceiver_resp, submit_sm, submit_sm_resp,
};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::{ANSWERED, MESSAGE_ID, NUMBERS, TEXT};

struct Smsc;

#[async_trait]
impl SmppServerListener for Smsc {
    async fn on_bind_transceiver(
        &self,
        request: bind_transceiver,
        _connection: &SmppConnectionInformation,
        _session: &String,
    ) -> bind_transceiver_resp {
        request.accept("bench".to_owned(), Some(0x34))
    }

    async fn on_submit_sm(
        &self,
        request: submit_sm,
        _connection: &SmppConnectionInformation,
        _session: &String,
    ) -> submit_sm_resp {
        request.accept(MESSAGE_ID.to_owned())
    }
}

pub async fn serve(started: impl FnOnce(u16) + Send) {
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let free = TcpListener::bind((local, 0)).and_then(|socket| socket.local_addr());
    let port = free.expect("a free port").port();
    let mut server = SmppServer::new(local, port, Arc::new(Smsc));
    server.start().await;
    started(port);
    std::future::pending::<()>().await;
}

/// Hands the bound session over.
struct Binder(Mutex<Option<oneshot::Sender<SMSC>>>);

#[async_trait]
impl SmppClientListener for Binder {
    async fn on_smsc_bound(&self, smsc: SMSC, _session: &String) {
        let waiting = self.0.lock().ok().and_then(|mut waiting| waiting.take());
        if let Some(waiting) = waiting {
            waiting.send(smsc).ok();
        }
    }
}

pub async fn drive(port: u16, window: usize) {
    let (sender, bound) = oneshot::channel();
    let mut client = SmppClient::new(
        "127.0.0.1".to_owned(),
        port,
        false,
        BIND_TYPE::TRX,
        "bench".to_owned(),
        String::new(),
        String::new(),
        1,
        1,
        String::new(),
        Arc::new(Binder(Mutex::new(Some(sender)))),
        window,
    );
    client.start().await;
    let smsc = Arc::new(bound.await.expect("bound"));
    let tasks = TaskTracker::new();
    for _ in 0..window {
        tasks.spawn(submit_on(Arc::clone(&smsc)));
    }
    tasks.close();
    tasks.wait().await;
}

async fn submit_on(smsc: Arc<SMSC>) {
    loop {
        let outcome = smsc
            .submit_sm()
            .source_addr(NUMBERS[0])
            .destination_addr(NUMBERS[1])
            .short_message(TEXT)
            .send()
            .await;
        assert!(outcome.is_ok(), "{outcome:?}");
        ANSWERED.fetch_add(1, Relaxed);
    }
}
