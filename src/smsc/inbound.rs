//! What a peer asks of us: SMS and receipts. Durable first, answered after.

use matrix_smpp_codec::receipt::Receipt;
use matrix_smpp_codec::udh::InboundText;
use matrix_smpp_codec::values::{CommandId, CommandStatus, DataCoding, Ton};
use matrix_smpp_codec::{Body, DataSmResp, DeliverSm, DeliverSmResp, E164};
use matrix_smpp_config::{DefaultCoding, LinkGroup, MoUnleased};
use matrix_smpp_session::Link;
use tokio::task::JoinSet;
use tracing::{debug, warn};
use uuid::Uuid;

use crate::flow::Gateway;
use crate::gateway::model::{E164Text, Handset};
use crate::store::{ReceiptIn, ReceiptTaken, SmsIn, SmsTaken, StoreError};

/// A request of the peer that waits for its answer.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) session: Uuid,
    pub(super) epoch: u64,
    pub(super) sequence: u32,
    pub(super) body: Body,
}

/// Takes in the requests of one link.
#[derive(Debug, Clone)]
pub(super) struct Inbound {
    gateway: Gateway,
    group: String,
    unleased: MoUnleased,
    default_coding: DefaultCoding,
    link: Link,
}
