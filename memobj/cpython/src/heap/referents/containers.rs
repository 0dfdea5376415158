//! Containers.

use crate::layout::encoding::{InstanceAttributes, VisitedFirst};
use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use super::reader::{EdgeKind, EdgeSink, ReadResult, ReferenceReader};
use crate::heap::cycle_guard::CycleGuard;
use crate::heap::types::Type;
use crate::object::dict::{self, KeyKind, KeysTable};
use crate::object::memory_ext::MemoryExt;

impl<M: Memory> ReferenceReader<'_, '_, '_, M> {
    /// `list_traverse`.
    #[inline]
    pub(super) fn read_list(&mut self, at: Addr, _: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let layout = self.python.layout;
        let count = self.memory().read_count(at, layout.var_object.ob_size)?;
        if count == 0 {
            return Ok(());
        }
        let items = self.memory().read_pointer(at, layout.list_object.ob_item)?;
        self.read_array(items, count, sink)
    }

    /// `tuple_traverse`.
    #[inline]
    pub(super) fn read_tuple(&mut self, at: Addr, _: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let layout = self.python.layout;
        let count = self.memory().read_count(at, layout.var_object.ob_size)?;
        self.read_array(at.plus(u64::from(layout.tuple_object.ob_item)), count, sink)
    }

    /// `structseq_traverse`: what is past the visible items too (`REAL_SIZE`).
    pub(super) fn read_struct_sequence(
        &mut self,
        at: Addr,
        ty: &Type,
        sink: &mut impl EdgeSink,
    ) -> ReadResult {
        let layout = self.python.layout;
        let visible = self.memory().read_count(at, layout.var_object.ob_size)?;
        let count = self.python.read_struct_sequence_fields(ty.at)?.max(visible);
        self.read_array(at.plus(u64::from(layout.tuple_object.ob_item)), count, sink)
    }

    /// `dict_traverse`.
    #[inline]
    pub(super) fn read_dict(&mut self, at: Addr, _: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let memory = self.memory();
        let layout = self.python.layout;
        let table = memory.read_pointer(at, layout.dict_object.ma_keys)?;
        let values = memory.read_pointer(at, layout.dict_object.ma_values)?;
        let keys = KeysTable::read(memory, layout, table)?;
        if self.is_general(&keys) {
            return keys.read_entries(memory, |key, value| {
                // A deleted entry has no value; what it has for a key is not visited.
                sink.edge(value, EdgeKind::Visited);
                sink.edge(if value.is_null() { value } else { key }, EdgeKind::Visited);
            });
        }
        if values.is_null() {
            return keys.read_entries(memory, |_, value| sink.edge(value, EdgeKind::Visited));
        }
        // Values inside of an object are visited by the object, where that is so.
        if self.is_embedded(values)? {
            return Ok(());
        }
        let first = dict::first_value(layout, values);
        self.read_array(first, keys.used, sink)
    }

    /// `defdict_traverse` (`Modules/_collectionsmodule.c`).
    pub(super) fn read_default_dict(&mut self, at: Addr, ty: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        self.read_member(at, self.python.layout.defdict_object.default_factory, EdgeKind::Visited, sink)?;
        self.read_dict(at, ty, sink)
    }

    /// `simplequeue_traverse` (`Modules/_queuemodule.c`): the list of items; since 3.13 the items themselves, in a ring.
    pub(super) fn read_simple_queue(&mut self, at: Addr, _: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let memory = self.memory();
        let Some(known) = &self.python.layout.simple_queue else { return Ok(()) };
        let (Some(buf), Some(room), Some(first), Some(count)) =
            (known.buf, known.buf_cap, known.first, known.num_items)
        else {
            return self.read_members(at, [known.lst], EdgeKind::Visited, sink);
        };
        let items = memory.read_pointer(at, buf)?;
        let room = memory.read_count(at, room)?;
        let first = memory.read_count(at, first)?.min(room);
        let count = memory.read_count(at, count)?.min(room);
        let until_end = count.min(room.saturating_sub(first));
        self.read_array(items.plus(first.saturating_mul(8)), until_end, sink)?;
        self.read_array(items, count.saturating_sub(until_end), sink)
    }

    /// Whether a dict's `tp_traverse` visits its keys.
    #[inline]
    fn is_general(&self, keys: &KeysTable) -> bool {
        match keys.generality {
            KeyKind::Any => true,
            KeyKind::Strings => false,
            KeyKind::Lookup(lookup) => Some(lookup) == self.python.landmarks.general_lookup,
        }
    }

    /// Whether a dict leaves its values to the object they lie in.
    fn is_embedded(&self, values: Addr) -> Result<bool, Unreadable> {
        let layout = self.python.layout;
        let InstanceAttributes::InlineValues { first: VisitedFirst::Values, .. } =
            layout.encodings.instance_attributes
        else {
            return Ok(false);
        };
        match layout.dict_values.as_ref().and_then(|known| known.embedded) {
            Some(embedded) => Ok(self.memory().read_byte(values, embedded)? != 0),
            None => Ok(false),
        }
    }

    /// Reads the keys that `dict_traverse` leaves out because they are plain strings.
    #[inline]
    pub(super) fn read_string_keys(&mut self, at: Addr, _: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let memory = self.memory();
        let layout = self.python.layout;
        let table = memory.read_pointer(at, layout.dict_object.ma_keys)?;
        let keys = KeysTable::read(memory, layout, table)?;
        if self.is_general(&keys) {
            return Ok(());
        }
        keys.read_entries(memory, |key, _| sink.edge(key, EdgeKind::Hidden))
    }

    /// `odict_traverse` (`Objects/odictobject.c`): the keys of its nodes, then as a dict.
    pub(super) fn read_ordered_dict(&mut self, at: Addr, ty: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let memory = self.memory();
        let layout = self.python.layout;
        let (known, node) = (&layout.odict_object, &layout.odict_node);
        self.read_member(at, known.od_inst_dict, EdgeKind::Visited, sink)?;
        let mut link = memory.read_pointer(at, known.od_first)?;
        let mut chain = CycleGuard::default();
        while chain.advance(link) {
            self.read_member(link, node.key, EdgeKind::Visited, sink)?;
            link = memory.read_pointer(link, node.next)?;
        }
        self.read_dict(at, ty, sink)
    }

    /// `set_traverse` (`Objects/setobject.c`).
    pub(super) fn read_set(&mut self, at: Addr, _: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let memory = self.memory();
        let known = &self.python.layout.set_object;
        let slots = memory.read_count(at, known.mask)?.saturating_add(1);
        let table = memory.read_pointer(at, known.table)?;
        let mut key = None;
        memory.read_words(table, slots.saturating_mul(2), |word| match key.take() {
            None => key = Some(word),
            // A hash of -1 is no hash: the item was taken out.
            Some(_) if word == u64::MAX => sink.edge(Addr::NULL, EdgeKind::Visited),
            Some(item) => sink.edge(Addr(item), EdgeKind::Visited),
        })
    }

    /// `deque_traverse` (`Modules/_collectionsmodule.c`).
    pub(super) fn read_deque(&mut self, at: Addr, _: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let memory = self.memory();
        let layout = self.python.layout;
        let (known, of_block) = (&layout.deque_object, &layout.deque_block);
        let slots = u64::from(of_block.data_count);
        let mut left = memory.read_count(at, layout.var_object.ob_size)?;
        let mut block = memory.read_pointer(at, known.leftblock)?;
        let mut index = memory.read_count(at, known.leftindex)?;
        let mut chain = CycleGuard::default();
        while left > 0 && chain.advance(block) {
            let Some(count) = slots.checked_sub(index).map(|free| free.min(left)).filter(|&count| count > 0)
            else {
                break;
            };
            let data = block.plus(u64::from(of_block.data)).plus(index.saturating_mul(8));
            self.read_array(data, count, sink)?;
            left = left.saturating_sub(count);
            index = 0;
            block = memory.read_pointer(block, of_block.rightlink)?;
        }
        Ok(())
    }

    /// `lru_cache_tp_traverse` (`Modules/_functoolsmodule.c`): the nodes of its ring with what they hold, then its members.
    pub(super) fn read_lru_cache(&mut self, at: Addr, _: &Type, sink: &mut impl EdgeSink) -> ReadResult {
        let memory = self.memory();
        let layout = self.python.layout;
        let (known, node) = (&layout.lru_cache_object, &layout.lru_list_elem);
        let root = at.plus(u64::from(known.root));
        let mut link = memory.read_pointer(root, node.next)?;
        let mut chain = CycleGuard::default();
        while link != root && chain.advance(link) {
            self.read_members(link, [Some(node.key), Some(node.result)], EdgeKind::Visited, sink)?;
            // Since the nodes have a type of their own, made at run time (3.10).
            if known.lru_list_elem_type.is_some() {
                sink.edge(self.python.read_type_of(link)?, EdgeKind::Visited);
            }
            link = memory.read_pointer(link, node.next)?;
        }
        let members = [
            Some(known.cache),
            Some(known.func),
            known.kwd_mark,
            known.lru_list_elem_type,
            Some(known.cache_info_type),
            Some(known.dict),
        ];
        self.read_members(at, members, EdgeKind::Visited, sink)
    }
}
