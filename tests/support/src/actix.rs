//! A server of actix-web on a real socket.

use std::{
    net::{SocketAddr, TcpListener},
    thread,
};

use actix_web::{
    dev::{Server, ServerHandle},
    rt::System,
};

/// A port of our own.
pub fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A server on a thread of its own, until it is dropped.
#[derive(Debug)]
pub struct Served {
    handle: ServerHandle,
    thread: Option<thread::JoinHandle<()>>,
}

impl Served {
    /// Runs it.
    pub fn new(server: Server) -> Self {
        let handle = server.handle();
        let thread = thread::spawn(move || System::new().block_on(server).unwrap());
        Self {
            handle,
            thread: Some(thread),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // The command is sent at once; the thread that is joined is what acknowledges it.
        drop(self.handle.stop(false));
        let ended = self.thread.take().map(thread::JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))));
    }
}
