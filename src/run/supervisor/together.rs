//! Waiting for several things at once, on one thread.

use std::future::poll_fn;
use std::task::Poll;

/// What all of the futures come to, in their order. They make progress side by side.
pub(super) async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (future, output) in futures.iter_mut().zip(&mut outputs).filter(|(_, output)| output.is_none()) {
            if let Poll::Ready(ready) = future.as_mut().poll(context) {
                *output = Some(ready);
            }
        }
        match outputs.iter().all(Option::is_some) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use super::*;

    #[tokio::test]
    async fn what_waits_for_another_does_not_keep_it_from_coming() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let futures: [Pin<Box<dyn Future<Output = u8>>>; 2] = [
            Box::pin(async { receiver.await.unwrap() }),
            Box::pin(async { sender.send(1).map_or(0, |()| 2) }),
        ];
        assert_eq!(join_all(futures).await, [1, 2]);
        assert!(join_all(Vec::<std::future::Ready<u8>>::new()).await.is_empty());
    }
}
