#include "replica/known_writers.hpp"

namespace bzmq::replica {

void known_writers::reset(const std::vector<stored_writer>& from, const writer_id& self) {
    all_.clear();
    disown();
    for (const auto& each : from) {
        all_[each.index] = each;
        if (each.id == self) {
            own_ = each.index;
        }
    }
}

bool known_writers::note(std::span<const std::byte> entry, const writer_id& self) {
    entry_reader in{entry};
    const auto head = in.head();
    // Writers come and go in few entries, and the changes that say so stand at the front.
    change first;
    if (in.next(first) && first.kind == change_kind::open_writer) {
        all_[first.writer] = {first.writer, first.id, 0, ec::none};
        if (first.id == self) {
            own_ = first.writer;
            forgotten_ = false;  // It took us for a new one.
        }
    } else if (!in.failed() && first.kind == change_kind::close_writer) {
        all_.erase(first.writer);
        if (first.writer == own_) {
            own_ = own_writer;
            forgotten_ = true;
        }
    }
    if (head.writer == own_writer) {
        return false;
    }
    if (const auto at = all_.find(head.writer); at != all_.end()) {
        at->second.number = head.number;
        at->second.result = head.result;
    }
    return head.writer == own_;
}

std::vector<stored_writer> known_writers::list() const {
    std::vector<stored_writer> out;
    out.reserve(all_.size());
    for (const auto& [index, each] : all_) {
        out.push_back(each);
    }
    return out;
}

}  // namespace bzmq::replica
