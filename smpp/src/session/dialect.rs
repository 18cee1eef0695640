//! What a peer of another version of SMPP understands.

use matrix_smpp_codec::{Body, InterfaceVersion, TlvTag, Tlvs};

/// What a request cannot do without: a text, and which part of a text it is.
const ESSENTIAL: [TlvTag; 4] = [
    TlvTag::MESSAGE_PAYLOAD,
    TlvTag::SAR_MSG_REF_NUM,
    TlvTag::SAR_TOTAL_SEGMENTS,
    TlvTag::SAR_SEGMENT_SEQNUM,
];

/// Leaves out what a peer of version 3.3 does not know. False when the request would say something
/// else without it, or is one that 3.3 does not have. SMPP 3.4 §3.4.
pub(super) fn fit_request(body: &mut Body, version: InterfaceVersion) -> bool {
    if version >= InterfaceVersion::V3_4 {
        return true;
    }
    if matches!(body, Body::DataSm(_) | Body::AlertNotification(_)) {
        return false;
    }
    let Some(tlvs) = tlvs(body) else {
        return true;
    };
    if ESSENTIAL.iter().any(|tag| tlvs.get(*tag).is_some()) {
        return false;
    }
    *tlvs = Tlvs::default();
    true
}

/// Leaves out what a peer of version 3.3 does not know, and tells one of 5.0 how busy we are:
/// `load` is 0 to 100. SMPP 5.0 §4.8.4.18.
pub(super) fn fit_response(body: &mut Body, version: InterfaceVersion, load: u8) {
    if (InterfaceVersion::V3_4..InterfaceVersion::V5_0).contains(&version) {
        return;
    }
    let Some(tlvs) = tlvs(body) else {
        return;
    };
    if version < InterfaceVersion::V3_4 {
        *tlvs = Tlvs::default();
    } else if tlvs.congestion_state().is_none() {
        tlvs.set_congestion_state(load);
    }
}

/// How busy the answering end says that it is.
pub(super) fn congestion_state(response: &Body) -> Option<u8> {
    match response {
        Body::SubmitSmResp(response) => response.tlvs.congestion_state(),
        Body::SubmitMultiResp(response) => response.tlvs.congestion_state(),
        Body::DeliverSmResp(response) => response.tlvs.congestion_state(),
        Body::DataSmResp(response) => response.tlvs.congestion_state(),
        _ => None,
    }
}

fn tlvs(body: &mut Body) -> Option<&mut Tlvs> {
    Some(match body {
        Body::SubmitSm(body) => &mut body.tlvs,
        Body::SubmitSmResp(body) => &mut body.tlvs,
        Body::SubmitMulti(body) => &mut body.tlvs,
        Body::SubmitMultiResp(body) => &mut body.tlvs,
        Body::DeliverSm(body) => &mut body.tlvs,
        Body::DeliverSmResp(body) => &mut body.tlvs,
        Body::DataSm(body) => &mut body.tlvs,
        Body::DataSmResp(body) => &mut body.tlvs,
        _ => return None,
    })
}
