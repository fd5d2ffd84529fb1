use std::sync::mpsc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

use super::*;

/// How long a test waits before it concludes that nothing happens.
const A_WHILE: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(20);

/// A server, its proxy, and a connection through it.
struct Given {
    server: TcpListener,
    proxy: Proxy,
}

impl Given {
    async fn new() -> Self {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::before(server.local_addr().unwrap()).await.unwrap();
        Self { server, proxy }
    }

    async fn connect(&self) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(self.proxy.address()).await.unwrap();
        let (connection, _) = self.server.accept().await.unwrap();
        (client, connection)
    }
}

async fn passes(from: &mut TcpStream, to: &mut TcpStream) {
    from.write_all(b"?").await.unwrap();
    let byte = timeout(PATIENCE, to.read_u8()).await.unwrap();
    assert_eq!(byte.unwrap(), b'?');
}

async fn is_silent(to: &mut TcpStream) {
    assert!(timeout(A_WHILE, to.read_u8()).await.is_err());
}

async fn is_reset(socket: &mut TcpStream) {
    let read = timeout(PATIENCE, socket.read_u8()).await.unwrap();
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

async fn is_closed(socket: &mut TcpStream) {
    let read = timeout(PATIENCE, socket.read_u8()).await.unwrap();
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn without_a_command_everything_passes_and_so_does_each_end() {
    let given = Given::new().await;
    let (mut client, mut server) = given.connect().await;
    passes(&mut client, &mut server).await;
    passes(&mut server, &mut client).await;
    client.shutdown().await.unwrap();
    is_closed(&mut server).await;
    passes(&mut server, &mut client).await;
    server.shutdown().await.unwrap();
    is_closed(&mut client).await;
}

#[tokio::test]
async fn a_cut_resets_both_sides_and_lets_new_ones_through() {
    let given = Given::new().await;
    let (mut client, mut server) = given.connect().await;
    passes(&mut client, &mut server).await;
    given.proxy.cut();
    is_reset(&mut client).await;
    is_reset(&mut server).await;
    let (mut client, mut server) = given.connect().await;
    passes(&mut client, &mut server).await;
}

#[tokio::test]
async fn who_is_refused_reaches_nobody_until_it_is_healed() {
    let given = Given::new().await;
    let (mut client, _server) = given.connect().await;
    given.proxy.refuse();
    is_reset(&mut client).await;
    let mut client = TcpStream::connect(given.proxy.address()).await.unwrap();
    is_reset(&mut client).await;
    given.proxy.heal();
    let (mut client, mut server) = given.connect().await;
    passes(&mut client, &mut server).await;
}

#[tokio::test]
async fn what_is_sent_while_it_hangs_arrives_once_it_is_healed() {
    let given = Given::new().await;
    let (mut client, mut server) = given.connect().await;
    passes(&mut client, &mut server).await;
    given.proxy.hang();
    client.write_all(b"?").await.unwrap();
    client.shutdown().await.unwrap();
    is_silent(&mut server).await;
    server.write_all(b"!").await.unwrap();
    is_silent(&mut client).await;
    let _waiting = TcpStream::connect(given.proxy.address()).await.unwrap();
    assert!(timeout(A_WHILE, given.server.accept()).await.is_err());
    given.proxy.heal();
    assert_eq!(server.read_u8().await.unwrap(), b'?');
    is_closed(&mut server).await;
    assert_eq!(client.read_u8().await.unwrap(), b'!');
    timeout(PATIENCE, given.server.accept())
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_delay_is_added_to_each_way() {
    let given = Given::new().await;
    let (mut client, mut server) = given.connect().await;
    given.proxy.delay(A_WHILE);
    let begun = Instant::now();
    passes(&mut client, &mut server).await;
    passes(&mut server, &mut client).await;
    assert!(begun.elapsed() >= 2 * A_WHILE);
}

#[tokio::test]
async fn a_half_closed_connection_still_carries_what_the_client_sends() {
    let given = Given::new().await;
    let (mut client, mut server) = given.connect().await;
    passes(&mut client, &mut server).await;
    given.proxy.half_close();
    is_closed(&mut client).await;
    passes(&mut client, &mut server).await;
    server.write_all(b"!").await.unwrap();
    is_silent(&mut server).await;
}

#[tokio::test]
async fn a_half_closing_that_is_healed_at_once_closes_the_connections_that_there_were() {
    let given = Given::new().await;
    let (mut client, mut server) = given.connect().await;
    passes(&mut client, &mut server).await;
    given.proxy.half_close();
    given.proxy.heal();
    is_closed(&mut client).await;
    passes(&mut client, &mut server).await;
    let (mut client, mut server) = given.connect().await;
    passes(&mut server, &mut client).await;
}

#[tokio::test]
async fn lost_answers_are_of_questions_that_arrived() {
    let given = Given::new().await;
    let (mut client, mut server) = given.connect().await;
    given.proxy.lose_answers();
    passes(&mut client, &mut server).await;
    server.write_all(b"!").await.unwrap();
    is_silent(&mut client).await;
    given.proxy.heal();
    server.write_all(b"!").await.unwrap();
    is_silent(&mut client).await;
    let (mut client, mut server) = given.connect().await;
    passes(&mut server, &mut client).await;
}

#[tokio::test]
async fn an_abandoned_connection_is_silent_for_ever_and_another_is_not() {
    let given = Given::new().await;
    let (mut client, mut server) = given.connect().await;
    passes(&mut client, &mut server).await;
    given.proxy.abandon();
    given.proxy.heal();
    client.write_all(b"?").await.unwrap();
    client.shutdown().await.unwrap();
    is_silent(&mut server).await;
    let (mut client, mut server) = given.connect().await;
    passes(&mut client, &mut server).await;
}

#[tokio::test]
async fn resets_at_random_are_those_of_their_seed() {
    async fn carried(seed: u64) -> Vec<usize> {
        let given = Given::new().await;
        given.proxy.reset_at_random(seed, 100);
        let mut all = Vec::new();
        for _ in 0..5 {
            let (mut client, mut server) = given.connect().await;
            let mut carried = 0;
            while client.write_all(b"?").await.is_ok() && server.read_u8().await.is_ok() {
                carried += 1;
            }
            all.push(carried);
        }
        all
    }
    let first = carried(1).await;
    assert!(first.iter().all(|carried| *carried < 200), "{first:?}");
    assert_eq!(first, carried(1).await);
    assert_ne!(first, carried(2).await);
}

#[tokio::test]
async fn a_redirected_one_leads_to_the_other_server() {
    let (mut given, other) = (Given::new().await, Given::new().await);
    let (mut client, _server) = given.connect().await;
    given.proxy.redirect(other.server.local_addr().unwrap());
    is_reset(&mut client).await;
    std::mem::swap(&mut given.server, &mut { other }.server);
    let (mut client, mut server) = given.connect().await;
    passes(&mut client, &mut server).await;
}

#[tokio::test]
async fn a_dropped_one_resets_its_connections_and_closes_its_port() {
    let given = Given::new().await;
    let (mut client, _server) = given.connect().await;
    let address = given.proxy.address();
    drop(given);
    is_reset(&mut client).await;
    while TcpStream::connect(address).await.is_ok() {}
}

/// A tap that does `action` to each chunk with `!` in it, and lets all others pass.
fn acting(action: Action) -> impl FnMut(Chunk<'_>) -> Action {
    move |chunk| match chunk.bytes {
        b"!" => action,
        _ => Action::Pass,
    }
}

#[tokio::test]
async fn the_tap_sees_each_chunk_that_passes() {
    let given = Given::new().await;
    let (mut first, mut first_server) = given.connect().await;
    passes(&mut first, &mut first_server).await;
    let (note, noted) = mpsc::channel();
    given.proxy.tap(move |chunk| {
        let seen = (chunk.connection, chunk.direction, chunk.bytes.to_vec());
        note.send(seen).unwrap();
        Action::Pass
    });
    let (mut second, mut second_server) = given.connect().await;
    passes(&mut second, &mut second_server).await;
    passes(&mut second_server, &mut second).await;
    passes(&mut first, &mut first_server).await;
    let question = b"?".to_vec();
    let seen = [
        (1, Direction::ToServer, question.clone()),
        (1, Direction::ToClient, question.clone()),
        (0, Direction::ToServer, question),
    ];
    assert_eq!(noted.try_iter().collect::<Vec<_>>(), seen);

    // The tap stays after `heal`, and sees nothing that a command drops.
    given.proxy.lose_answers();
    first_server.write_all(b"!").await.unwrap();
    is_silent(&mut first).await;
    given.proxy.abandon();
    given.proxy.heal();
    second.write_all(b"!").await.unwrap();
    is_silent(&mut second_server).await;
    assert_eq!(noted.try_iter().count(), 0);
    let (mut third, mut third_server) = given.connect().await;
    passes(&mut third, &mut third_server).await;
    assert_eq!(noted.try_iter().count(), 1);
}

#[tokio::test]
async fn a_chunk_that_the_tap_cuts_resets_its_connection_alone() {
    let given = Given::new().await;
    let (mut client, mut server) = given.connect().await;
    let (mut other, mut other_server) = given.connect().await;
    given.proxy.tap(acting(Action::Cut));
    passes(&mut client, &mut server).await;
    server.write_all(b"!").await.unwrap();
    is_reset(&mut client).await;
    is_reset(&mut server).await;
    passes(&mut other, &mut other_server).await;
}

#[tokio::test]
async fn a_chunk_that_the_tap_holds_arrives_once_it_is_healed() {
    let given = Given::new().await;
    let (mut client, mut server) = given.connect().await;
    given.proxy.tap(acting(Action::Hold));
    client.write_all(b"!").await.unwrap();
    is_silent(&mut server).await;
    client.write_all(b"?").await.unwrap();
    is_silent(&mut server).await;
    passes(&mut server, &mut client).await;
    given.proxy.heal();
    let mut all = [0; 2];
    timeout(PATIENCE, server.read_exact(&mut all))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&all, b"!?");

    // A chunk of an abandoned connection doesn't arrive.
    client.write_all(b"!").await.unwrap();
    is_silent(&mut server).await;
    given.proxy.abandon();
    given.proxy.heal();
    is_silent(&mut server).await;
}

#[tokio::test]
async fn behind_a_chunk_that_the_tap_drops_nothing_comes_in_that_direction() {
    let given = Given::new().await;
    let (mut client, mut server) = given.connect().await;
    let (mut other, mut other_server) = given.connect().await;
    given.proxy.tap(acting(Action::Drop));
    server.write_all(b"!").await.unwrap();
    is_silent(&mut client).await;
    server.write_all(b"?").await.unwrap();
    server.shutdown().await.unwrap();
    is_silent(&mut client).await;
    passes(&mut client, &mut server).await;
    passes(&mut other_server, &mut other).await;
}

#[tokio::test]
async fn a_chunk_that_the_tap_delays_comes_later_and_in_its_place() {
    let given = Given::new().await;
    let (mut client, mut server) = given.connect().await;
    given.proxy.tap(acting(Action::Delay(A_WHILE)));
    passes(&mut client, &mut server).await;
    let begun = Instant::now();
    client.write_all(b"!").await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), b'!');
    assert!(begun.elapsed() >= A_WHILE);
    passes(&mut client, &mut server).await;
}

#[tokio::test]
async fn a_tap_that_panics_resets_its_connection_alone() {
    let given = Given::new().await;
    let (mut client, mut server) = given.connect().await;
    let (mut other, mut other_server) = given.connect().await;
    given.proxy.tap(|chunk| {
        assert_ne!(chunk.bytes, b"!");
        Action::Pass
    });
    client.write_all(b"!").await.unwrap();
    is_reset(&mut client).await;
    is_reset(&mut server).await;
    passes(&mut other, &mut other_server).await;
}
