//! Rows that came before they were needed, flat in one buffer; it knows no cell.

/// Rows in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Each row behind its length (four bytes, in the machine's order).
    bytes: Vec<u8>,
    /// Where the first row begins; what is before it was taken.
    head: usize,
}

/// A buffer that grew beyond this is given back once it is empty.
const KEPT: usize = 64 * 1024;
const LENGTH: usize = size_of::<u32>();

impl Queue {
    /// Puts a row behind the others; a packet, and so a row, is shorter than 4 GB.
    pub(super) fn push(&mut self, row: &[u8]) {
        if self.bytes.len() + LENGTH + row.len() > self.bytes.capacity() && self.head >= self.bytes.len() / 2 {
            self.bytes.drain(..self.head);
            self.head = 0;
        }
        self.bytes.extend_from_slice(&(row.len() as u32).to_ne_bytes());
        self.bytes.extend_from_slice(row);
    }

    /// The first row.
    pub(super) fn front(&self) -> Option<&[u8]> {
        let (length, rest) = self.bytes[self.head..].split_first_chunk::<LENGTH>()?;
        rest.get(..u32::from_ne_bytes(*length) as usize)
    }

    /// Takes the first row away, and says how many bytes were held for it.
    pub(super) fn pop(&mut self) -> usize {
        let Some(taken) = self.front().map(Queue::cost) else { return 0 };
        self.head += taken;
        if self.head == self.bytes.len() {
            self.clear();
        }
        taken
    }

    /// Forgets all rows.
    pub(super) fn clear(&mut self) {
        self.head = 0;
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        } else {
            self.bytes.clear();
        }
    }

    /// How many bytes are held for a row.
    pub(super) fn cost(row: &[u8]) -> usize {
        LENGTH + row.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_in_order_and_space_is_used_again() {
        let mut queue = Queue::default();
        let row = |n: usize| vec![n as u8; n % 50];
        let (mut pushed, mut popped) = (0, 0);
        for round in 0..1000 {
            for _ in 0..(round * 7) % 5 {
                queue.push(&row(pushed));
                pushed += 1;
            }
            for _ in 0..(round * 3) % 5 {
                if popped < pushed {
                    assert_eq!(queue.front(), Some(&row(popped)[..]));
                    assert_eq!(queue.pop(), 4 + popped % 50);
                    popped += 1;
                }
            }
        }
        while queue.pop() > 0 {
            popped += 1;
        }
        assert_eq!((pushed, queue.front()), (popped, None));
        assert!(queue.bytes.capacity() < 16 * 1024, "{}", queue.bytes.capacity());
    }

    #[test]
    fn a_large_buffer_is_given_back() {
        let mut queue = Queue::default();
        queue.push(&vec![1; 1 << 20]);
        queue.push(b"");
        assert_eq!(queue.pop(), 4 + (1 << 20));
        assert_eq!(queue.front(), Some(&b""[..]));
        assert_eq!(queue.pop(), 4);
        assert_eq!((queue.pop(), queue.bytes.capacity()), (0, 0));
    }
}
