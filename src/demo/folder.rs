//! A folder that goes when its owner goes, even if that is killed.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{env, fs};

use std::os::unix::process::CommandExt;

use crate::demo::install::ServerError;

/// A private folder of the system's temporary folder (the path of a socket in it may have at most 107 bytes).
#[derive(Debug)]
pub struct TempFolder {
    path: PathBuf,
    guard: Child,
}

impl TempFolder {
    /// Makes `shardloom-NAME-PID-N`, for the first N that is free.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn new(name: &str) -> Result<TempFolder, ServerError> {
        let prefix = env::temp_dir().join(format!("shardloom-{name}-{}", std::process::id()));
        let mut number = 0;
        let path = loop {
            let path = PathBuf::from(format!("{}-{number}", prefix.display()));
            match fs::create_dir(&path) {
                Ok(()) => break path,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(ServerError::io(format!("creating {}", path.display()))(error)),
            }
        };
        let guard = guard(&path).map_err(ServerError::io("running sh"))?;
        Ok(TempFolder { path, guard })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.path).ok();
        self.guard.kill().ok();
        self.guard.wait().ok();
    }
}

/// `read` returns when the other end of the pipe, which is in our process, closes. Servers in the folder are killed
/// at the same moment and may still write for a while: hence twice.
fn guard(path: &Path) -> io::Result<Child> {
    Command::new("sh")
        .args(["-c", "read _; rm -rf \"$1\"; sleep 2; rm -rf \"$1\"", "sh"])
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}
