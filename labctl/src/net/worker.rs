//! The threads that work inside namespaces. They go from one namespace to the next, and back to where they
//! came from when there is nothing more to do: entering takes two microseconds, starting a thread fifty, and
//! a thread that stayed inside would keep the namespace alive.

use std::any::Any;
use std::collections::VecDeque;
use std::fs::File;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use nix::sched::{CloneFlags, setns};
use tokio::sync::oneshot;

use super::{NetError, sysctl};

/// More threads than processors do not help: what takes time is work in the kernel.
const LEAST_THREADS: usize = 2;

/// Jobs after which a thread takes a new `/proc`, see [`sysctl::renew`].
const JOBS_OF_A_PROC: u32 = 64;

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    idle: usize,
    threads: usize,
}

#[derive(Default)]
struct Pool {
    queue: Mutex<Queue>,
    more: Condvar,
}

static POOL: OnceLock<Pool> = OnceLock::new();

/// Does work on one of the threads. It may move the thread into any namespace, by
/// [`NetNs::enter`](super::NetNs::enter) or by making one, and must not wait for anything but the kernel.
/// A panic goes on in the caller.
pub(super) async fn work<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NetError> + Send + 'static,
) -> Result<T, NetError> {
    let (sender, receiver) = oneshot::channel::<Result<Result<T, NetError>, Box<dyn Any + Send>>>();
    POOL.get_or_init(Pool::default).push(Box::new(move || {
        // Nobody waits if the future was dropped; then nobody wants the outcome either.
        let _ = sender.send(panic::catch_unwind(AssertUnwindSafe(work)));
    }))?;
    match receiver.await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(payload)) => panic::resume_unwind(payload),
        Err(_) => unreachable!("a job sends its outcome even if the work panics"),
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No work is done under the lock, so that nothing is half done after a panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&'static self, job: Job) -> Result<(), NetError> {
        let mut queue = self.lock();
        queue.jobs.push_back(job);
        let most = thread::available_parallelism().map_or(1, std::num::NonZero::get).max(LEAST_THREADS);
        if queue.jobs.len() > queue.idle && queue.threads < most {
            let started = thread::Builder::new().name("namespaces".to_owned()).spawn(|| self.serve());
            match started {
                Ok(_) => queue.threads += 1,
                Err(source) if queue.threads == 0 => {
                    queue.jobs.clear();
                    return Err(NetError::Thread { name: "*".to_owned(), source });
                }
                // The others do it.
                Err(_) => {}
            }
        }
        self.more.notify_one();
        Ok(())
    }

    /// What a thread does, for as long as the process lives.
    fn serve(&self) {
        // The thread has only just been started and is where the one is that started it.
        let home = File::open("/proc/thread-self/ns/net");
        let mut queue = self.lock();
        let mut jobs = 0_u32;
        while let Ok(home) = &home {
            if let Some(job) = queue.jobs.pop_front() {
                drop(queue);
                if jobs.is_multiple_of(JOBS_OF_A_PROC) {
                    sysctl::renew();
                }
                jobs = jobs.wrapping_add(1);
                job();
                queue = self.lock();
                // Not while there is more to do: the next job enters the namespace that it needs.
                if queue.jobs.is_empty() && setns(home, CloneFlags::CLONE_NEWNET).is_err() {
                    break;
                }
                continue;
            }
            queue.idle += 1;
            queue = self.more.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
        queue.threads -= 1;
    }
}
