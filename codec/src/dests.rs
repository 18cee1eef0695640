//! The lists of `submit_multi`: who shall receive, and who could not.

use std::ops::Deref;

use nom::number::complete::{be_u8, be_u32};

use crate::field::{
    Cursor, Field, FieldError, OctetsError, Taken, fail, keeps_nothing, length_octet,
};
use crate::octets::{Address, COctets};
use crate::values::{CommandStatus, Npi, Ton};

/// One destination of a `submit_multi` (§4.5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DestAddress {
    /// An SME, `dest_flag` 1.
    Sme {
        /// Type of number.
        dest_addr_ton: Ton,
        /// Numbering plan.
        dest_addr_npi: Npi,
        /// The address.
        destination_addr: Address<21>,
    },
    /// A distribution list that the SMSC knows, `dest_flag` 2.
    List {
        /// Its name.
        dl_name: COctets<21>,
    },
}

impl Default for DestAddress {
    fn default() -> Self {
        Self::List {
            dl_name: COctets::EMPTY,
        }
    }
}

impl DestAddress {
    const SME_FLAG: u8 = 1;
    const LIST_FLAG: u8 = 2;
}

impl Field for DestAddress {
    keeps_nothing!();

    /// A flag, two octets and the longest address.
    const ROOM: usize = 24;

    fn take<'a>(&mut self, input: &'a [u8]) -> Taken<'a, ()> {
        let (rest, flag) = be_u8(input)?;
        match flag {
            Self::SME_FLAG => {
                let (mut ton, mut npi, mut address) = Default::default();
                let (rest, ()) = Ton::take(&mut ton, rest)?;
                let (rest, ()) = Npi::take(&mut npi, rest)?;
                let (rest, ()) = Address::take(&mut address, rest)?;
                *self = Self::Sme {
                    dest_addr_ton: ton,
                    dest_addr_npi: npi,
                    destination_addr: address,
                };
                Ok((rest, ()))
            }
            Self::LIST_FLAG => {
                let mut dl_name = COctets::EMPTY;
                let (rest, ()) = dl_name.take(rest)?;
                *self = Self::List { dl_name };
                Ok((rest, ()))
            }
            unknown => fail(FieldError::DestFlag(unknown)),
        }
    }

    fn put(&self, out: &mut Cursor<'_>) -> Option<()> {
        match self {
            Self::Sme {
                dest_addr_ton,
                dest_addr_npi,
                destination_addr,
            } => {
                out.put([Self::SME_FLAG])?;
                dest_addr_ton.put(out)?;
                dest_addr_npi.put(out)?;
                destination_addr.put(out)
            }
            Self::List { dl_name } => {
                out.put([Self::LIST_FLAG])?;
                dl_name.put(out)
            }
        }
    }
}

/// One destination that a `submit_multi` could not be sent to (§4.5.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct UnsuccessSme {
    /// Type of number.
    pub dest_addr_ton: Ton,
    /// Numbering plan.
    pub dest_addr_npi: Npi,
    /// The address.
    pub destination_addr: Address<21>,
    /// Why it was refused.
    pub error_status_code: CommandStatus,
}

impl Field for UnsuccessSme {
    keeps_nothing!();

    /// Two octets, the longest address and a status.
    const ROOM: usize = 27;

    fn take<'a>(&mut self, input: &'a [u8]) -> Taken<'a, ()> {
        let (rest, ()) = self.dest_addr_ton.take(input)?;
        let (rest, ()) = self.dest_addr_npi.take(rest)?;
        let (rest, ()) = self.destination_addr.take(rest)?;
        let (rest, status) = be_u32(rest)?;
        self.error_status_code = CommandStatus(status);
        Ok((rest, ()))
    }

    fn put(&self, out: &mut Cursor<'_>) -> Option<()> {
        self.dest_addr_ton.put(out)?;
        self.dest_addr_npi.put(out)?;
        self.destination_addr.put(out)?;
        out.put(self.error_status_code.0.to_be_bytes())
    }
}

/// A list with its count in the octet before it.
macro_rules! counted {
    ($(#[$doc:meta])* $name:ident($entry:ty), max $max:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
        pub struct $name(Vec<$entry>);

        impl $name {
            /// The most entries that fit.
            pub const MAX: usize = $max;
        }

        impl Deref for $name {
            type Target = [$entry];

            fn deref(&self) -> &[$entry] {
                &self.0
            }
        }

        impl TryFrom<Vec<$entry>> for $name {
            type Error = OctetsError;

            fn try_from(entries: Vec<$entry>) -> Result<Self, OctetsError> {
                if entries.len() > Self::MAX {
                    return Err(OctetsError::TooLong { max: Self::MAX });
                }
                Ok(Self(entries))
            }
        }

        impl Field for $name {
            keeps_nothing!();

            const ROOM: usize = 1;

            fn more_room(&self) -> usize {
                <$entry>::ROOM.saturating_mul(self.0.len())
            }

            fn take<'a>(&mut self, input: &'a [u8]) -> Taken<'a, ()> {
                let (mut rest, count) = be_u8(input)?;
                if usize::from(count) > Self::MAX {
                    return fail(FieldError::TooLong { max: Self::MAX });
                }
                for _ in 0..count {
                    let mut entry = <$entry>::default();
                    (rest, ()) = entry.take(rest)?;
                    self.0.push(entry);
                }
                Ok((rest, ()))
            }

            fn put(&self, out: &mut Cursor<'_>) -> Option<()> {
                out.put([length_octet(self.0.len())])?;
                self.0.iter().try_for_each(|entry| entry.put(out))
            }
        }
    };
}

counted! {
    /// `number_of_dests` and `dest_address(es)` of a `submit_multi` (§4.5.1): 254 at most.
    DestAddresses(DestAddress), max 254
}

counted! {
    /// `no_unsuccess` and `unsuccess_sme(s)` of a `submit_multi_resp` (§4.5.2): 255 at most.
    UnsuccessSmes(UnsuccessSme), max 255
}
