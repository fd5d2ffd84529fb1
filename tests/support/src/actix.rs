//! A server of actix-web on a real socket.

use std::{
    net::{SocketAddr, TcpListener},
    thread,
};

use actix_web::{
    dev::{Server, ServerHandle},
    rt::System,
};

/// A free port for a test.
pub fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A server on its own thread, which stops when this is dropped.
#[derive(Debug)]
pub struct Served {
    handle: ServerHandle,
    thread: Option<thread::JoinHandle<()>>,
}

impl Served {
    /// Runs the server.
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
        // This sends the command at once. Joining the thread waits for the result.
        drop(self.handle.stop(false));
        let ended = self.thread.take().map(thread::JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))));
    }
}
