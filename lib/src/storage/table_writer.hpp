#pragma once

#include "storage/lmdb_env.hpp"
#include "storage/stored_format.hpp"

namespace bzmq::storage {

/// The trees that make one set of a store's values and writers.
struct table_trees {
    MDB_dbi values = 0;
    MDB_dbi expiries = 0;
    MDB_dbi writers = 0;
};

/// Changes values together with the index of their expiries, within one transaction. Returns
/// LMDB's codes.
class table_writer {
  public:
    table_writer(MDB_txn* txn, const table_trees& trees) noexcept
        : txn_(txn), trees_(trees), indexed_(lmdb_env::entries(txn, trees.expiries) != 0) {}

    int put(const replica::stored_value& value);
    /// That there is none is no failure.
    int erase(std::span<const std::byte> key);
    int clear_values();
    int put_writer(const replica::stored_writer& writer);
    int erase_writer(replica::writer_index index);
    int clear_all();

  private:
    int forget_expiry(const slot_key& slot);

    MDB_txn* txn_;
    table_trees trees_;
    bool indexed_;  ///< may a value have an expiry at all?
};

}  // namespace bzmq::storage
