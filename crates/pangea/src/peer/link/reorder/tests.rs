use std::collections::VecDeque;

use super::*;

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("below a usize")
    }
}

fn message(number: u64, bytes: usize) -> Sealed {
    Sealed { plain: Some(usize::try_from(number).expect("small")), bytes: vec![0; bytes] }
}

/// Streams that read when they like, each its own messages in order: whatever the schedule, what
/// comes out is in order and whole, memory is bounded, and somebody can always go on.
#[test]
fn any_schedule_gives_the_order_within_the_bound() {
    for seed in 1..=200 {
        let mut random = Random(seed * 0x9e37_79b9);
        let count = 100_u64;
        let mut streams: Vec<VecDeque<(u64, usize)>> = vec![VecDeque::new(); 4];
        for number in 0..count {
            let bytes = 1 + random.below(REORDER_BYTES_MAX / 3);
            streams[random.below(4)].push_back((number, bytes));
        }
        let mut reading: Vec<Option<(u64, usize)>> = vec![None; 4];
        let (mut window, mut out, mut stuck) = (Window::default(), 0, 0);
        while out < count {
            let at = random.below(5);
            let moved = if at == 4 {
                let popped = window.pop();
                if let Some(message) = &popped {
                    assert_eq!(message.plain, Some(usize::try_from(out).expect("small")));
                    out += 1;
                }
                popped.is_some()
            } else if let Some((number, bytes)) = reading[at].take() {
                window.put(number, message(number, bytes));
                true
            } else if let Some(&(number, bytes)) = streams[at].front() {
                let reserved = window.reserve(number, bytes).expect("each once");
                if reserved {
                    reading[at] = streams[at].pop_front();
                }
                reserved
            } else {
                false
            };
            stuck = if moved { 0 } else { stuck + 1 };
            assert!(stuck < 500, "nobody moves: seed {seed}, {out} out");
            assert!(window.bytes <= REORDER_BYTES_MAX + REORDER_BYTES_MAX / 3);
        }
        assert_eq!((window.bytes, window.held.len()), (0, 0));
    }
}

#[test]
fn a_number_is_taken_once() {
    let mut window = Window::default();
    assert_eq!(window.reserve(1, 1), Ok(true));
    assert_eq!(window.reserve(1, 1), Err(Repeated(1)));
    assert_eq!(window.reserve(0, 1), Ok(true));
    window.put(0, message(0, 1));
    assert_eq!(window.pop(), Some(message(0, 1)));
    assert_eq!(window.reserve(0, 1), Err(Repeated(0)));
    assert_eq!(window.pop(), None, "reserved, not read yet");
}

#[tokio::test]
async fn who_waits_for_room_gets_it_when_its_message_is_due() {
    let reorder = std::sync::Arc::new(Reorder::default());
    reorder.reserve(1, REORDER_BYTES_MAX).await.expect("room");
    reorder.put(1, message(1, REORDER_BYTES_MAX));
    let waiting = tokio::spawn({
        let reorder = std::sync::Arc::clone(&reorder);
        async move {
            reorder.reserve(2, 10).await.expect("once");
            reorder.put(2, message(2, 10));
        }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished(), "there is no room");
    reorder.reserve(0, REORDER_BYTES_MAX).await.expect("it is due");
    reorder.put(0, message(0, REORDER_BYTES_MAX));
    for number in 0..3 {
        let plain = reorder.pop().await.plain;
        assert_eq!(plain, Some(number));
    }
    waiting.await.expect("done");
}
