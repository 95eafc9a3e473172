-- Sharded by owner: one run of one driver stays on one shard, so its transactions do.
CREATE TABLE item (
  owner BIGINT NOT NULL,
  id INT NOT NULL,
  name VARCHAR(100),
  price DECIMAL(20,4),
  big BIGINT UNSIGNED,
  ratio DOUBLE,
  born DATE,
  made DATETIME(6),
  data LONGBLOB,
  PRIMARY KEY (owner, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- Sharded by id: a stream of it comes from every shard.
CREATE TABLE numbers (
  id INT NOT NULL PRIMARY KEY,
  word VARCHAR(40) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- On one group.
CREATE TABLE plain (
  id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  word VARCHAR(40) NOT NULL,
  KEY word (word)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- As sysbench makes it, sharded by id.
CREATE TABLE sbtest1 (
  id INT NOT NULL AUTO_INCREMENT,
  k INT NOT NULL DEFAULT '0',
  c CHAR(120) NOT NULL DEFAULT '',
  pad CHAR(60) NOT NULL DEFAULT '',
  PRIMARY KEY (id),
  KEY k_1 (k)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
