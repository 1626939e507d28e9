//! Time on a device's own clock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use burn::tensor::{Device, TimingMethod};

use super::models::Work;

/// How long the device may take to tell what it measured.
const PATIENCE: Duration = Duration::from_secs(10);

/// Seconds from the first kernel's start to the last one's end in one more pass, with the gaps in
/// between, on the device's clock. `None` where the device has no clock or does not answer: CPU
/// devices measure what [`sample`](super::sampling::sample) measures already.
pub(super) fn device_seconds(device: &Device, work: &mut Work) -> Option<f64> {
    // Whatever goes wrong here must not cost the cell what was measured before.
    let window = catch_unwind(AssertUnwindSafe(|| profile(device, work)));
    match window {
        Ok(Ok(seconds)) => seconds,
        Ok(Err(error)) => {
            eprintln!("device time is not measured: {error:#}");
            None
        }
        Err(_) => {
            eprintln!("device time is not measured: the device panicked (above)");
            None
        }
    }
}

fn profile(device: &Device, work: &mut Work) -> Result<Option<f64>> {
    let window = device.profile(work);
    let (outcome, measured) = window.map_err(|error| anyhow!("{error}"))?;
    outcome?;
    if measured.timing_method() != TimingMethod::Device {
        return Ok(None);
    }
    let ticks = wait(measured.into_future(), PATIENCE).flatten();
    Ok(ticks.map(|ticks| ticks.duration().as_secs_f64()))
}

/// What a future gives within this time.
fn wait<T>(mut future: Pin<Box<dyn Future<Output = T> + Send>>, patience: Duration) -> Option<T> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let deadline = Instant::now() + patience;
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Some(value);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_future_is_waited_for_but_not_forever() {
        let ready = Box::pin(async { 7 });
        assert_eq!(wait::<i32>(ready, Duration::ZERO), Some(7));
        let never = Box::pin(std::future::pending::<i32>());
        assert_eq!(wait::<i32>(never, Duration::from_millis(5)), None);

        let mut polls = 0i32;
        let later = std::future::poll_fn(move |context: &mut Context<'_>| {
            polls += 1;
            if polls == 3 {
                return Poll::Ready(polls);
            }
            let waker = context.waker().clone();
            thread::spawn(move || waker.wake());
            Poll::Pending
        });
        let waited = wait::<i32>(Box::pin(later), Duration::from_secs(60));
        assert_eq!(waited, Some(3));
    }
}
