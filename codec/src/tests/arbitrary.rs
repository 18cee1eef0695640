//! Any value of every field type; those of whole PDUs come with their declarations.

use bytes::Bytes;
use proptest::arbitrary::{Arbitrary, any};
use proptest::collection::vec;
use proptest::prelude::{Strategy, prop_oneof};
use proptest::strategy::BoxedStrategy;

use crate::{
    Address, COctets, CommandStatus, DataCoding, DestAddress, DestAddresses, EsmClass,
    InterfaceVersion, MessageState, Npi, Password, Pdu, RegisteredDelivery, ShortMessage, TlvTag,
    Tlvs, Ton, UnsuccessSme, UnsuccessSmes,
};

macro_rules! arbitrary {
    ($($ty:ty => $strategy:expr;)*) => {$(
        impl Arbitrary for $ty {
            type Parameters = ();
            type Strategy = BoxedStrategy<Self>;

            fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
                $strategy.boxed()
            }
        }
    )*};
}

arbitrary! {
    CommandStatus => any::<u32>().prop_map(Self);
    Ton => any::<u8>().prop_map(Self);
    Npi => any::<u8>().prop_map(Self);
    EsmClass => any::<u8>().prop_map(Self);
    RegisteredDelivery => any::<u8>().prop_map(Self);
    DataCoding => any::<u8>().prop_map(Self);
    MessageState => any::<u8>().prop_map(Self);
    InterfaceVersion => any::<u8>().prop_map(Self);
    TlvTag => prop_oneof![any::<u16>().prop_map(Self), proptest::sample::select(Self::KNOWN)];
    Password => any::<COctets<9>>().prop_map(Self::from);
    ShortMessage => vec(any::<u8>(), 0..=Self::MAX_LEN)
        .prop_map(|octets| Self::try_from(Bytes::from(octets)).unwrap());
    DestAddress => prop_oneof![
        any::<(Ton, Npi, Address<21>)>().prop_map(|(dest_addr_ton, dest_addr_npi, destination_addr)| {
            Self::Sme { dest_addr_ton, dest_addr_npi, destination_addr }
        }),
        any::<COctets<21>>().prop_map(|dl_name| Self::List { dl_name }),
    ];
    DestAddresses => vec(any::<DestAddress>(), 0..6)
        .prop_map(|entries| Self::try_from(entries).unwrap());
    UnsuccessSme => any::<(Ton, Npi, Address<21>, CommandStatus)>().prop_map(
        |(dest_addr_ton, dest_addr_npi, destination_addr, error_status_code)| {
            Self { dest_addr_ton, dest_addr_npi, destination_addr, error_status_code }
        },
    );
    UnsuccessSmes => vec(any::<UnsuccessSme>(), 0..6)
        .prop_map(|entries| Self::try_from(entries).unwrap());
    Tlvs => vec((any::<TlvTag>(), vec(any::<u8>(), 0..80)), 0..6).prop_map(|entries| {
        let mut tlvs = Self::default();
        for (tag, value) in entries {
            tlvs.push(tag, &value).unwrap();
        }
        tlvs
    });
    Pdu => any::<(CommandStatus, u32, crate::Body)>()
        .prop_map(|(status, sequence, body)| Self { status, sequence, body });
}

impl<const MAX: usize> Arbitrary for COctets<MAX> {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        let octets = vec(1..=u8::MAX, 0..MAX);
        octets
            .prop_map(|octets| Self::try_from(&octets[..]).unwrap())
            .boxed()
    }
}

impl<const MAX: usize> Arbitrary for Address<MAX> {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        any::<COctets<MAX>>().prop_map(Self::from).boxed()
    }
}
