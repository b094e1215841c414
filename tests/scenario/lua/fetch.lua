-- SPDX-License-Identifier: BSD-3-Clause
core.register_fetches("twice", function(txn, a)
  return a .. a
end)
core.register_converters("shout", function(s)
  return s:upper() .. "!"
end)
