//! A table of what has a number, peers or links: few hundred rows in the order of their numbers, close together. Pure.

/// Rows by number.
#[derive(Debug)]
pub struct Table<T> {
    numbers: Vec<u32>,
    rows: Vec<T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { numbers: Vec::new(), rows: Vec::new() }
    }
}

impl<T> Table<T> {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a row in place of one with the same number. Quick for the highest number.
    pub fn insert(&mut self, number: u32, row: T) {
        match self.numbers.binary_search(&number) {
            Ok(place) => self.rows[place] = row,
            Err(place) => {
                self.numbers.insert(place, number);
                self.rows.insert(place, row);
            }
        }
    }

    /// Takes a row out.
    pub fn remove(&mut self, number: u32) -> Option<T> {
        let place = self.numbers.binary_search(&number).ok()?;
        self.numbers.remove(place);
        Some(self.rows.remove(place))
    }

    /// The row with this number.
    pub fn get(&self, number: u32) -> Option<&T> {
        self.numbers.binary_search(&number).ok().map(|place| &self.rows[place])
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.numbers.binary_search(&number).ok().map(|place| &mut self.rows[place])
    }

    /// The number in the place, counted from the lowest.
    pub fn number(&self, place: usize) -> Option<u32> {
        self.numbers.get(place).copied()
    }

    /// The row in the place.
    pub fn row(&self, place: usize) -> Option<&T> {
        self.rows.get(place)
    }

    /// The rows in order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.rows.iter()
    }

    /// The same, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.rows.iter_mut()
    }
}
