//! The parser of statements that change items.

use alloc::format;
use alloc::vec::Vec;

use super::ast::{Change, Clause, Insert, Returning, Statement, Target};
use super::parser::{AFTER, LAST, LEFTOVER, NO_VERB, Parser};
use super::{Error, malformed};
use crate::item::{AttributeValue, Attributes};

impl Parser {
    /// The table of a statement that changes one.
    fn changed(&mut self) -> Result<Target, Error> {
        self.target("Expected identifier for simple path")
    }

    pub(super) fn insert(&mut self) -> Result<Statement, Error> {
        if !self.eat_word("INTO") {
            return malformed("Unexpected keyword");
        }
        let target = self.changed()?;
        if target.index.is_some() {
            self.defer(format!(
                "FROM clause may only contain a single table name in data manipulation statements \
                 at {}",
                target.span
            ));
        }
        if !self.eat_word("VALUE") {
            let what = if self.is_at_end() { "Expected VALUE" } else { LEFTOVER };
            return malformed(what);
        }
        self.clause = AFTER;
        let item = match self.item()? {
            AttributeValue::M(item) => item,
            _ => {
                self.defer("Unsupported data type: an item is a tuple");
                Attributes::new()
            }
        };
        Ok(Statement::Insert(Insert { target, item }))
    }

    pub(super) fn update(&mut self) -> Result<Statement, Error> {
        let target = self.changed()?;
        if !self.is_word("SET") && !self.is_word("REMOVE") {
            self.alias();
        }
        let clauses = self.clauses()?;
        let filter = self.filter()?;
        let returning = self.returning()?;
        Ok(Statement::Update(Change { target, filter, clauses, returning }))
    }

    pub(super) fn where_first(&mut self) -> Result<Statement, Error> {
        let target = self.changed()?;
        if !self.is_word("SET") && !self.is_word("REMOVE") {
            self.alias();
        }
        // Nothing between them: what begins there has no verb.
        let is_bare = ["SET", "REMOVE"].iter().any(|word| self.is_before_word(word));
        if self.is_word("WHERE") && is_bare {
            return malformed(NO_VERB);
        }
        let filter = self.filter()?;
        let clauses = self.clauses()?;
        let returning = self.returning()?;
        Ok(Statement::Update(Change { target, filter, clauses, returning }))
    }

    pub(super) fn delete(&mut self) -> Result<Statement, Error> {
        if !self.eat_word("FROM") {
            return malformed("Expected FROM after DELETE");
        }
        let target = self.changed()?;
        self.alias();
        let filter = self.filter()?;
        let returning = self.returning()?;
        self.clause = LAST;
        if let Some(other) = returning.filter(|it| *it != Returning::AllOld) {
            self.defer(format!(
                "Invalid returning clause: RETURNING {} *. Only RETURNING ALL OLD * is allowed in \
                 DELETE statements.",
                other.text()
            ));
        }
        Ok(Statement::Delete(Change { target, filter, clauses: Vec::new(), returning }))
    }

    pub(super) fn clauses(&mut self) -> Result<Vec<Clause>, Error> {
        let before = self.clause;
        self.clause = AFTER;
        let mut clauses = Vec::new();
        loop {
            if self.eat_word("SET") {
                clauses.push(self.assignment()?);
                while self.eat(",") {
                    clauses.push(self.assignment()?);
                }
            } else if self.eat_word("REMOVE") {
                clauses.push(Clause::Remove(self.path()?));
            } else if clauses.is_empty() {
                return malformed(NO_VERB);
            } else {
                self.clause = before;
                return Ok(clauses);
            }
        }
    }

    fn assignment(&mut self) -> Result<Clause, Error> {
        let path = self.path()?;
        if !self.eat("=") {
            return malformed("Expected = for assignment");
        }
        Ok(Clause::Set(path, self.sum()?))
    }

    fn returning(&mut self) -> Result<Option<Returning>, Error> {
        if !self.eat_word("RETURNING") {
            return Ok(None);
        }
        let all = self.eat_word("ALL");
        if !all && !self.eat_word("MODIFIED") {
            return malformed("Expected ALL or MODIFIED in a returning clause.");
        }
        let old = self.eat_word("OLD");
        if !old && !self.eat_word("NEW") {
            return malformed("Expected OLD or NEW in a returning clause.");
        }
        if !self.eat("*") {
            return malformed("Expected * in a returning clause.");
        }
        Ok(Some(match (all, old) {
            (true, true) => Returning::AllOld,
            (true, false) => Returning::AllNew,
            (false, true) => Returning::ModifiedOld,
            (false, false) => Returning::ModifiedNew,
        }))
    }
}
