#include "storage/table_writer.hpp"

namespace bzmq::storage {
namespace {

int unless_missing(int code) noexcept {
    return code == MDB_NOTFOUND ? MDB_SUCCESS : code;
}

}  // namespace

int table_writer::put(const replica::stored_value& value) {
    const slot_key slot{value.key};
    if (const int code = forget_expiry(slot); code != MDB_SUCCESS) {
        return code;
    }
    auto key = to_val(slot.bytes());
    MDB_val room{value_record_size(slot, value), nullptr};
    if (const int code = ::mdb_put(txn_, trees_.values, &key, &room, MDB_RESERVE);
        code != MDB_SUCCESS) {
        return code;
    }
    write_value_record(static_cast<std::byte*>(room.mv_data), slot, value);
    if (value.expiry == replica::no_expiry) {
        return MDB_SUCCESS;
    }
    indexed_ = true;
    const auto when = expiry_key(value.expiry);
    auto at = to_val(when);
    auto what = to_val(slot.bytes());
    return ::mdb_put(txn_, trees_.expiries, &at, &what, 0);
}

int table_writer::erase(std::span<const std::byte> key) {
    const slot_key slot{key};
    if (const int code = forget_expiry(slot); code != MDB_SUCCESS) {
        return code;
    }
    auto at = to_val(slot.bytes());
    return unless_missing(::mdb_del(txn_, trees_.values, &at, nullptr));
}

int table_writer::forget_expiry(const slot_key& slot) {
    if (!indexed_) {
        return MDB_SUCCESS;  // Most stores never use expiry, and need not look for it.
    }
    auto key = to_val(slot.bytes());
    MDB_val record{};
    if (const int code = ::mdb_get(txn_, trees_.values, &key, &record); code != MDB_SUCCESS) {
        return unless_missing(code);
    }
    const auto expiry = peek_expiry(to_span(record));
    if (expiry == replica::no_expiry) {
        return MDB_SUCCESS;
    }
    const auto when = expiry_key(expiry);
    auto at = to_val(when);
    return unless_missing(::mdb_del(txn_, trees_.expiries, &at, &key));
}

int table_writer::clear_values() {
    indexed_ = false;
    const int code = ::mdb_drop(txn_, trees_.values, 0);
    return code != MDB_SUCCESS ? code : ::mdb_drop(txn_, trees_.expiries, 0);
}

int table_writer::put_writer(const replica::stored_writer& writer) {
    const auto index = key_of_writer(writer.index);
    const auto record = writer_record(writer);
    auto key = to_val(index);
    auto value = to_val(record);
    return ::mdb_put(txn_, trees_.writers, &key, &value, 0);
}

int table_writer::erase_writer(replica::writer_index index) {
    const auto bytes = key_of_writer(index);
    auto key = to_val(bytes);
    return unless_missing(::mdb_del(txn_, trees_.writers, &key, nullptr));
}

int table_writer::clear_all() {
    const int code = clear_values();
    return code != MDB_SUCCESS ? code : ::mdb_drop(txn_, trees_.writers, 0);
}

}  // namespace bzmq::storage
