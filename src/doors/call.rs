//! How one gateway calls another: a line that says who calls, which door is meant and from where the peer
//! comes, an answer, and then the peer's octets both ways.
//!
//! ```text
//!  matrix-smpp/1 <secret> <door> <address of the peer>\n      at most 256 octets
//!  ok\n
//! ```
//!
//! The line of the PROXY protocol would say the same but for the answer. That is needed to tell an owner
//! that serves from one that stands still: a system accepts connections for a process that is paused.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use subtle::ConstantTimeEq as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::entrance::Door;
use crate::store::Reach;

/// How long an owner may take to answer a call.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// The longest call, in octets.
const LONGEST: usize = 256;
const VERSION: &str = "matrix-smpp/1";
const OK: &[u8] = b"ok\n";

/// Calls the owner for a peer; gives the connection on which the peer's octets are to follow.
pub(super) async fn call(reach: &Reach, door: Door, peer: SocketAddr) -> io::Result<TcpStream> {
    let (address, secret) = (&reach.address, &reach.secret);
    let calling = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let line = format!("{VERSION} {secret} {} {peer}\n", door.name());
        stream.write_all(line.as_bytes()).await?;
        let mut answer = [0; OK.len()];
        stream.read_exact(&mut answer).await?;
        if answer != OK {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(stream)
    };
    timeout(ANSWER_LIMIT, calling).await?
}

/// Reads a call; `None` where its caller does not know the secret, or does not call as it must.
pub(super) async fn listen(
    stream: &mut TcpStream,
    secret: &str,
) -> io::Result<Option<(Door, SocketAddr)>> {
    let mut line = Vec::with_capacity(LONGEST);
    // Nothing may follow the line before it is answered.
    while !line.ends_with(b"\n") {
        let mut some = [0; LONGEST];
        let count = stream.read(&mut some).await?;
        line.extend_from_slice(some.get(..count).unwrap_or_default());
        if count == 0 || line.len() > LONGEST {
            return Ok(None);
        }
    }
    Ok(read(&line, secret))
}

/// Answers a call whose connection is about to be served.
pub(super) async fn answer(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(OK).await
}

fn read(line: &[u8], secret: &str) -> Option<(Door, SocketAddr)> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let mut words = line.split(' ');
    let (version, theirs) = (words.next()?, words.next()?);
    let knows_us: bool = theirs.as_bytes().ct_eq(secret.as_bytes()).into();
    let (door, peer) = (words.next()?, words.next()?);
    let fits = version == VERSION && knows_us && words.next().is_none();
    let door = Door::named(door).filter(|_| fits)?;
    Some((door, peer.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_names_a_door_and_a_peer_and_knows_the_secret() {
        let read = |line: &str| read(line.as_bytes(), "s3cret");
        let peer = "[2001:db8::1]:4711".parse().unwrap();
        let line = "matrix-smpp/1 s3cret smpp [2001:db8::1]:4711\n";
        assert_eq!(read(line), Some((Door::Smpp, peer)));
        for wrong in [
            "matrix-smpp/1 s3cre smpp 192.0.2.1:1\n",
            "matrix-smpp/1  smpp 192.0.2.1:1\n",
            "matrix-smpp/2 s3cret smpp 192.0.2.1:1\n",
            "matrix-smpp/1 s3cret operations 192.0.2.1:1\n",
            "matrix-smpp/1 s3cret smpp 192.0.2.1\n",
            "matrix-smpp/1 s3cret smpp 192.0.2.1:1 more\n",
            "matrix-smpp/1 s3cret smpp 192.0.2.1:1\nmore\n",
            "matrix-smpp/1 s3cret\n",
            "\n",
        ] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}
